#!/usr/bin/env python3
"""Stands for a kubelet and its node: runs the Ray of every Ray Pod as real processes of this machine.

    runner.py --kubeconfig FILE --tokens-kubeconfig FILE --namespace NS --venv DIR --state DIR
              --base 127.0.7. [--max-pods N]

In: Pods with the label `ray.io/node-type`, watched. Out: processes on loopback addresses, Pod
status, and a folder for each Pod (see pod.py). Prints one JSON line when it watches. Lives, like
controlplane/up.py, until standard input ends or SIGTERM, SIGINT or SIGHUP comes, and leaves no
process behind, however it ends.

The first identity only reads Pods and patches their status. The second does what else a kubelet
may: ask for tokens, read Secrets, remove a terminated Pod.
"""

import argparse
import json
import random
import socket
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Optional

import status
from api import AWAY, Api, Refused
from pod import MOST_GRACE_SECONDS, Head, Life, now

# api.py has put the control plane's folder on the path.
from processes import Parent, Stopped

Json = dict[str, Any]
# Above the ranges of controlplane/plane.py, tests/support/wait.rs and Ray's workers, below the
# kernel's.
PORTS = range(30000, 32768)
RETRY_SECONDS = 0.5
END_SECONDS = 15.0


def say(text: str) -> None:
    """To the runner's log."""
    print(f"runner.py: {text}", file=sys.stderr, flush=True)


class Machine:
    """All Pods there are, those that live here, and the way back to the API server."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.api = Api(asked.kubeconfig)
        self.kubelet = Api(asked.tokens_kubeconfig)
        self.namespace: str = asked.namespace
        self.venv: Path = asked.venv.absolute()
        self.state: Path = asked.state.absolute()
        self.state.mkdir(parents=True, exist_ok=True)
        self.most: int = asked.max_pods
        # Released addresses come last: the v1 autoscaler knows nodes by them.
        self.addresses = deque(f"{asked.base}{number}" for number in range(2, 255))
        # Everything below is changed under this lock; waiting for it means news to report.
        self.news = threading.Condition(threading.RLock())
        self.waiting: dict[str, Json] = {}
        self.lives: dict[str, Life] = {}
        self.heads: dict[str, Head] = {}
        self.dirty: dict[str, Optional[Life]] = {}
        self.ports: set[int] = set()
        self.closing = False

    @property
    def pods(self) -> str:
        """The path of the namespace's Pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    # What a Life asks of us.

    def free_port(self) -> int:
        """A port nobody listens on, given once."""
        with self.news:
            for port in random.sample(PORTS, len(PORTS)):
                with socket.socket() as probe:
                    try:
                        # Ray's GCS listens on all addresses.
                        probe.bind(("", port))
                    except OSError:
                        continue
                if port not in self.ports:
                    self.ports.add(port)
                    return port
        raise OSError("no port is free")

    def head_of(self, cluster: str) -> Optional[Head]:
        """The serving head of a cluster."""
        with self.news:
            return self.heads.get(cluster)

    def set_head(self, cluster: str, head: Head) -> None:
        """A head serves."""
        with self.news:
            self.heads[cluster] = head

    def drop_head(self, cluster: str, address: str) -> None:
        """A head serves no longer; one that has taken its place stays."""
        with self.news:
            known = self.heads.get(cluster)
            if known and known.place.address == address:
                del self.heads[cluster]

    def changed(self, life: Life) -> None:
        """There is news to report."""
        with self.news:
            self.dirty[life.uid] = life
            self.news.notify_all()

    def ended(self, life: Life) -> None:
        """The last process of a stopped Pod is gone: there is room again."""
        with self.news:
            if self.lives.pop(life.uid, None) is None:
                return
            self.addresses.append(life.address)
            self.dirty[life.uid] = None
            self.news.notify_all()
            if self.closing:
                return
            self._fill()
        self._remove(life.name, life.uid)

    def _remove(self, name: str, uid: str) -> None:
        """The kubelet's last word on a Pod that was deleted and had a node."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        try:
            self.kubelet.call("DELETE", f"{self.pods}/{name}", body)
        except Refused as error:
            if error.status not in (404, 409):
                say(f"{name} stays: {error}")
        except AWAY as error:
            say(f"{name} stays: {error}")

    # What the watch tells.

    def seen(self, pod: Json) -> None:
        """A Pod is there."""
        meta = pod["metadata"]
        with self.news:
            if meta.get("deletionTimestamp"):
                if self.waiting.pop(meta["uid"], None) is not None:
                    # Nothing of it runs, and no kubelet but us would let it go.
                    self._remove(meta["name"], meta["uid"])
                self._stop(meta["uid"], pod["spec"].get("terminationGracePeriodSeconds", 30))
            elif meta["uid"] not in self.lives and (
                pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            ):
                self.waiting[meta["uid"]] = pod
                self._fill()

    def gone(self, uid: str) -> None:
        """A Pod is there no longer."""
        with self.news:
            self.waiting.pop(uid, None)
            self._stop(uid, MOST_GRACE_SECONDS)

    def listed(self, pods: list[Json]) -> None:
        """These are all."""
        with self.news:
            uids = {pod["metadata"]["uid"] for pod in pods}
            for uid in [*self.lives, *self.waiting]:
                if uid not in uids:
                    self.gone(uid)
            for pod in pods:
                self.seen(pod)

    def _stop(self, uid: str, grace: float) -> None:
        life = self.lives.get(uid)
        if life and not life.waker.called:
            say(f"{life.name} stops")
            life.stop(min(grace, MOST_GRACE_SECONDS))

    def _fill(self) -> None:
        """Let waiting Pods in while there is room, the oldest first."""
        while self.waiting and len(self.lives) < self.most:
            uid, pod = next(iter(self.waiting.items()))
            del self.waiting[uid]
            life = Life(self, pod, self.addresses.popleft())
            self.lives[uid] = life
            say(f"{life.name} gets {life.address}")
            life.begin()
        for uid in self.waiting:
            self.dirty.setdefault(uid, None)
        self.news.notify_all()

    # The two threads of our own.

    def follow(self) -> None:
        """List and watch, for ever; an API server that went away is asked again."""
        path = f"{self.pods}?labelSelector=ray.io%2Fnode-type"
        version = ""
        while True:
            try:
                if not version:
                    listing = self.api.call("GET", path)
                    version = listing["metadata"]["resourceVersion"]
                    self.listed(listing["items"])
                for event in self.api.watch(path, version):
                    if event["type"] == "ERROR":
                        # Mostly "too old": begin anew.
                        version = ""
                        break
                    pod = event["object"]
                    version = pod["metadata"]["resourceVersion"]
                    if event["type"] == "DELETED":
                        self.gone(pod["metadata"]["uid"])
                    elif event["type"] != "BOOKMARK":
                        self.seen(pod)
            except (*AWAY, ValueError, Refused) as error:
                say(f"watching Pods anew: {error}")
                version = ""
            time.sleep(RETRY_SECONDS)

    def report(self) -> None:
        """Send each changed status, the last state of each Pod only; again until it is taken."""
        while True:
            with self.news:
                while not self.dirty:
                    self.news.wait()
                uid, life = next(iter(self.dirty.items()))
                del self.dirty[uid]
                waiting = self.waiting.get(uid)
            if life:
                name, found = life.name, life.report()
            elif waiting:
                name = waiting["metadata"]["name"]
                found = status.unschedulable(self.most, now())
            else:
                continue
            try:
                self._patch(name, uid, found)
            except AWAY as error:
                say(f"status of {name}: {error}")
                with self.news:
                    self.dirty.setdefault(uid, life)
                time.sleep(RETRY_SECONDS)
            except Refused as error:
                # Gone, or another one of that name: the watch will tell.
                if error.status not in (404, 409):
                    say(f"status of {name}: {error}")

    def _patch(self, name: str, uid: str, found: Json) -> None:
        # The uid makes the server refuse it for another Pod of the same name.
        body = {"metadata": {"uid": uid}, "status": found}
        content = "application/strategic-merge-patch+json"
        self.api.call("PATCH", f"{self.pods}/{name}/status", body, content)

    def end(self) -> None:
        """Kill all that runs: nobody waits for a drain any more."""
        with self.news:
            self.closing = True
            self.waiting.clear()
            runs = [run for life in self.lives.values() for run in life.runs]
            for life in self.lives.values():
                life.stop(0)
        deadline = time.monotonic() + END_SECONDS
        for run in runs:
            run.join(max(0.0, deadline - time.monotonic()))


def main() -> int:
    """Announce, stay, clean up."""
    asked = parse()
    parent = Parent()
    machine = Machine(asked)
    threads = [
        threading.Thread(target=task, daemon=True, name=task.__name__)
        for task in (machine.follow, machine.report)
    ]
    for thread in threads:
        thread.start()
    print(json.dumps({"state": str(machine.state)}), flush=True)
    try:
        while all(thread.is_alive() for thread in threads):
            parent.pause(1.0)
    except Stopped:
        return 0
    finally:
        machine.end()
    say("a thread ended, which must not be")
    return 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, required=True, help="reads Pods, writes status")
    parser.add_argument("--tokens-kubeconfig", type=Path, required=True, help="asks for tokens")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--venv", type=Path, required=True, help="where Ray is installed")
    parser.add_argument("--state", type=Path, required=True, help="folder of logs and ids")
    parser.add_argument("--base", required=True, help="addresses to give, such as 127.0.7.")
    parser.add_argument("--max-pods", type=int, default=8, help="what this machine can bear")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
