"""The life of one Pod: its containers as real processes, one thread each.

In: the Pod object as it was first seen and the `Lab` it lives in. Out: files in its folder, and a
status that the lab's reporter sends whenever it has changed:

    <state>/<pod>/head.log worker.log autoscaler.log    what the containers say
    <state>/<pod>/start.pid raylet.pid autoscaler.pid   ids as the machine sees them
    <state>/<pod>/ip, address, gcs                      own address; of a head: dashboard and GCS
    <state>/<pod>/ray                                   Ray's temp dir, with session_latest/logs
"""

import base64
import http.client
import json
import socket
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple, Optional, Protocol

import command
import status
from api import AWAY, Api, Refused
from command import Place
from sandbox import Sandbox, Waker

Json = dict[str, Any]
PROBE_SECONDS = 0.25
# A node that is not up by then has failed as a kubelet's start-up probe would.
START_SECONDS = 120.0
MOST_GRACE_SECONDS = 10.0
BACK_OFF_SECONDS = (1, 2, 4, 8, 10)
MOST_RESTARTS = 20


class Head(NamedTuple):
    """A head that serves."""

    place: Place
    dashboard: Optional[tuple[str, int]]
    headers: dict[str, str]


class Lab(Protocol):
    """What a Pod needs of the machine it runs on."""

    state: Path
    venv: Path
    kubelet: Api
    namespace: str

    def free_port(self) -> int:
        """A port for us alone."""

    def head_of(self, cluster: str) -> Optional[Head]:
        """The serving head of a cluster."""

    def set_head(self, cluster: str, head: Head) -> None:
        """A head serves."""

    def drop_head(self, cluster: str, address: str) -> None:
        """A head serves no longer; one that has taken its place stays."""

    def changed(self, life: "Life") -> None:
        """There is news to report."""

    def ended(self, life: "Life") -> None:
        """Its last process is gone."""


def now() -> str:
    """The time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Life:
    """One Pod, from the moment there is room for it."""

    def __init__(self, lab: Lab, pod: Json, address: str) -> None:
        meta = pod["metadata"]
        self.lab, self.pod, self.address = lab, pod, address
        self.name, self.uid = meta["name"], meta["uid"]
        self.cluster = meta["labels"].get("ray.io/cluster", "")
        self.is_head = meta["labels"]["ray.io/node-type"] == "head"
        self.dir = lab.state / self.name
        self.shared = self.dir / "ray"
        self.shared.mkdir(parents=True, exist_ok=True)
        self.waker = Waker()
        self.grace = 0.0
        self.initialized = self.is_head
        self.start = now()
        self.lock = threading.Lock()
        self.last: Optional[Json] = None
        # Same ports after a restart of the container: the workers find it again.
        self.gcs_port = lab.free_port() if self.is_head else 0
        self.client_port = lab.free_port() if self.is_head else 0
        self.runs = [
            self._run_of(place, container)
            for place, container in enumerate(pod["spec"]["containers"])
        ]
        self.left = len(self.runs)
        self.write("ip", address)

    def _run_of(self, place: int, container: Json) -> "Run":
        if place == 0:
            return Node(self, container)
        if self.is_head and container["name"] == "autoscaler":
            return Autoscaler(self, container)
        return Stub(self, container)

    def begin(self) -> None:
        """Start what it consists of."""
        self.lab.changed(self)
        for run in self.runs:
            run.start()

    def stop(self, grace: float) -> None:
        """Stop everything; does not wait."""
        self.grace = grace
        self.waker.call()

    def report(self) -> Json:
        """The status now."""
        with self.lock:
            containers = [run.container for run in self.runs]
            found = status.report(
                self.pod, self.address, containers, self.initialized, self.start, now()
            )
            status.keep_times(found, self.last)
            self.last = found
            return found

    def secret(self, name: str, key: str) -> Optional[str]:
        """A key of a Secret; nothing where the kubelet's identity may not read it."""
        try:
            found = self.lab.kubelet.call(
                "GET", f"/api/v1/namespaces/{self.lab.namespace}/secrets/{name}"
            )
            return base64.b64decode(found["data"][key]).decode()
        except (*AWAY, Refused, KeyError):
            return None

    def write(self, name: str, text: str) -> None:
        """A file of its folder, there whole or not at all."""
        draft = self.dir / f".{name}"
        draft.write_text(text)
        draft.rename(self.dir / name)

    def remove(self, *names: str) -> None:
        """Files that no longer tell the truth."""
        for name in names:
            (self.dir / name).unlink(missing_ok=True)

    def done(self) -> None:
        """Called by each run at its end; the last one closes the Pod."""
        with self.lock:
            self.left -= 1
            last = self.left == 0
        if last:
            self.lab.ended(self)


class Run(threading.Thread):
    """One container: started, watched, started again as the Pod's policy says."""

    log = "container.log"
    patience = MOST_GRACE_SECONDS

    def __init__(self, life: Life, spec: Json) -> None:
        super().__init__(daemon=True, name=f"{life.name}/{spec['name']}")
        self.life, self.spec = life, spec
        self.container = status.Container(spec["name"], spec["image"])

    def run(self) -> None:
        """The thread."""
        try:
            self.live()
        except Exception:  # pylint: disable=broad-except
            # Nobody joins this thread: say it where a test looks.
            text = traceback.format_exc()
            print(f"runner.py: {self.name}: {text}", flush=True)
            message = {"reason": "RunnerError", "message": text[-1000:]}
            self.tell(lambda: setattr(self.container, "state", {"waiting": message}))
        # A container that is over stays in the Pod until that goes.
        while not self.life.waker.wait(3600):
            pass
        self.life.done()

    def live(self) -> None:
        """One start after the other."""
        policy = self.life.pod["spec"].get("restartPolicy", "Always")
        for attempt in range(MOST_RESTARTS + 1):
            if not self.prepare():
                return
            code = self.once()
            if code is None:
                return
            again = status.restarts(policy, code)
            self.tell(lambda code=code: self.container.exit(code, now()))
            if not again:
                self.tell(lambda: setattr(self.container, "over", True))
                return
            seconds = BACK_OFF_SECONDS[min(attempt, len(BACK_OFF_SECONDS) - 1)]
            final = attempt == MOST_RESTARTS
            message = "given up" if final else f"back-off {seconds}s restarting"
            self.tell(lambda message=message: self.container.back_off(message))
            if final or self.life.waker.wait(seconds):
                return
            self.container.restarts += 1

    def once(self) -> Optional[int]:
        """From start to exit; nothing when the Pod was stopped."""
        sandbox = self.open()
        try:
            self.tell(lambda: self.container.run(now()))
            deadline = time.monotonic() + START_SECONDS
            code = sandbox.wait(0, self.life.waker)
            while code is None and not self.life.waker.called:
                if self.container.ready:
                    code = sandbox.wait(None, self.life.waker)
                    continue
                if self.up(sandbox):
                    self.tell(lambda: setattr(self.container, "ready", True))
                elif time.monotonic() > deadline:
                    sandbox.end(0)
                    return 137
                code = sandbox.wait(PROBE_SECONDS, self.life.waker)
            return code
        finally:
            self.down()
            sandbox.end(min(self.life.grace, self.patience))

    def tell(self, change: Any) -> None:
        """Change what is known, and report it."""
        with self.life.lock:
            change()
        self.life.lab.changed(self.life)

    def env(self) -> dict[str, str]:
        """The container's variables over the least a program needs."""
        life = self.life
        own = command.environment(life.pod, self.spec, life.address, life.secret)
        path = f"{life.lab.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"HOME": str(life.dir), "LANG": "C.UTF-8", **own, "PATH": path}

    def prepare(self) -> bool:
        """Wait for what must be there first; false when the Pod was stopped meanwhile."""
        return not self.life.waker.called

    def open(self) -> Sandbox:
        """Start the process."""
        raise NotImplementedError

    def up(self, sandbox: Sandbox) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def down(self) -> None:
        """It serves no longer."""


class Node(Run):
    """Container 0: `ray start`."""

    def __init__(self, life: Life, spec: Json) -> None:
        super().__init__(life, spec)
        self.log = "head.log" if life.is_head else "worker.log"
        self.place = Place(life.address, life.address, life.gcs_port, life.client_port)
        self.dashboard: Optional[tuple[str, int]] = None
        self.headers: dict[str, str] = {}

    def prepare(self) -> bool:
        """A worker starts once the head serves, as its init container would have it."""
        life = self.life
        if life.is_head:
            return not life.waker.called
        while True:
            head = life.lab.head_of(life.cluster)
            if head is not None:
                self.place = Place(life.address, head.place.address, head.place.gcs_port, 0)
                self.dashboard, self.headers = head.dashboard, head.headers
                self.tell(lambda: setattr(life, "initialized", True))
                return not life.waker.called
            if life.waker.wait(PROBE_SECONDS):
                return False

    def open(self) -> Sandbox:
        """Start the raylet, and on a head all that goes with it."""
        life = self.life
        argv, env = command.ray_node(self.spec, self.env(), life.is_head, self.place)
        if life.is_head:
            port = command.dashboard_port(argv, env)
            self.dashboard = None if port is None else (life.address, port)
            token = env.get("RAY_AUTH_TOKEN") if env.get("RAY_AUTH_MODE") == "token" else None
            self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        sandbox = Sandbox(argv, env, life.dir / self.log, life.shared)
        life.write("start.pid", str(sandbox.pid))
        return sandbox

    def up(self, sandbox: Sandbox) -> bool:
        """Whether the head's dashboard lists this node as ALIVE; without one, whether Ray says so."""
        life = self.life
        raylet = sandbox.find("raylet")
        if raylet is None or not self._alive():
            return False
        life.write("raylet.pid", str(raylet))
        if life.is_head:
            if self.dashboard:
                life.write("address", "{}:{}".format(*self.dashboard))
            life.write("gcs", self.place.gcs)
            life.lab.set_head(life.cluster, Head(self.place, self.dashboard, self.headers))
        return True

    def _alive(self) -> bool:
        if self.dashboard is None:
            return "Ray runtime started" in (self.life.dir / self.log).read_text(errors="replace")
        link = http.client.HTTPConnection(*self.dashboard, timeout=2)
        try:
            link.request("GET", "/api/v0/nodes?limit=1000", headers=self.headers)
            nodes = json.loads(link.getresponse().read())["data"]["result"]["result"]
        except (*AWAY, ValueError, KeyError, TypeError):
            return False
        finally:
            link.close()
        return any(n["node_ip"] == self.life.address and n["state"] == "ALIVE" for n in nodes)

    def down(self) -> None:
        """Nobody may find what is gone."""
        if self.life.is_head:
            self.life.lab.drop_head(self.life.cluster, self.life.address)
        self.life.remove("start.pid", "raylet.pid")


class Autoscaler(Run):
    """Ray's autoscaler under the Pod's service account, in the folder its head shares."""

    log = "autoscaler.log"
    # As the first process of its sandbox it may not hear SIGTERM, and has nothing to finish.
    patience = 2.0

    def prepare(self) -> bool:
        """Wait for the head. Reported as running meanwhile, as a kubelet would: the autoscaler
        itself looks at this first entry of the head's status."""
        life = self.life
        self.tell(lambda: self.container.run(now()))
        while not self._gcs_answers():
            if life.waker.wait(PROBE_SECONDS):
                return False
        return not life.waker.called

    def _gcs_answers(self) -> bool:
        head = self.life.lab.head_of(self.life.cluster)
        if head is None or head.place.address != self.life.address:
            return False
        try:
            with socket.create_connection((self.life.address, self.life.gcs_port), 1):
                return True
        except OSError:
            return False

    def open(self) -> Sandbox:
        """Start the command line of the container with what a Pod would give it."""
        life = self.life
        place = Place(life.address, life.address, life.gcs_port, 0)
        argv, env = command.autoscaler(self.spec, self.env(), place)
        host, _, port = life.lab.kubelet.server.rpartition("/")[2].rpartition(":")
        env["KUBERNETES_SERVICE_HOST"] = host
        env["KUBERNETES_SERVICE_PORT_HTTPS"] = port
        env.setdefault("AUTOSCALER_UPDATE_INTERVAL_S", "1")
        env["AUTOSCALER_METRIC_PORT"] = str(life.lab.free_port())
        sandbox = Sandbox(argv, env, life.dir / self.log, life.shared, self._account())
        life.write("autoscaler.pid", str(sandbox.pid))
        return sandbox

    def _account(self) -> Path:
        """The folder a Pod sees at the standard path; the token is bound to this Pod."""
        life = self.life
        account = life.pod["spec"].get("serviceAccountName", "default")
        pod = {"apiVersion": "v1", "kind": "Pod", "name": life.name, "uid": life.uid}
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3607, "boundObjectRef": pod},
        }
        path = f"/api/v1/namespaces/{life.lab.namespace}/serviceaccounts/{account}/token"
        folder = life.dir / "account"
        folder.mkdir(exist_ok=True)
        # No newline after the token: Ray puts it into a header as it is.
        token = life.lab.kubelet.call("POST", path, asked)["status"]["token"]
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(life.lab.kubelet.ca.read_bytes())
        (folder / "namespace").write_text(life.lab.namespace)
        return folder

    def up(self, sandbox: Sandbox) -> bool:
        """A kubelet asks no probe here: running is ready."""
        return True

    def down(self) -> None:
        """Nobody may find what is gone."""
        self.life.remove("autoscaler.pid")


class Stub(Run):
    """Any other container: said to run, and nothing behind it."""

    def live(self) -> None:
        """Say so."""

        def running() -> None:
            self.container.run(now())
            self.container.ready = True

        self.tell(running)
