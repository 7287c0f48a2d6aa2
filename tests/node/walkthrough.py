#!/usr/bin/env python3
"""The walkthrough of KubeRay's autoscaler on a real node, with raywarden in KubeRay's place or beside it.

The manifest is KubeRay's sample and the snippet the one of its page, verbatim but for the image, which
is built here. One line per step with its time; the last line counts. Expects a node of up.sh with
raywarden on it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
CLUSTER = "raycluster-autoscaler"
# What account, Role and RoleBinding are called under each node manager.
IDENTITY = {"raywarden": f"raywarden-{CLUSTER}", "kuberay": CLUSTER}
NAMESPACE = "default"
GROUP_SIZE = 4
# Two rounds of the autoscaler.
SETTLES = 11
# Whatever the cluster is made of, and whatever is made for it.
KINDS = "pods,services,serviceaccounts,roles,rolebindings,secrets,configmaps,jobs,rayclusters,rayclusterreports,endpointslices"
RELEASE = "import ray.autoscaler.sdk\nray.init('auto')\nray.autoscaler.sdk.request_resources(num_cpus=0)\n"


class Failed(Exception):
    """A step that did not come to its end; the message says what was seen."""


# What an object that is not yet as it will be makes of a question.
NOT_YET = (Failed, subprocess.SubprocessError, ValueError, LookupError, TypeError, StopIteration)


class Walk:
    """Steps in order, each with its time; after one that failed there is no next."""

    def __init__(self, kubectl: str, manifest: str, manager: str) -> None:
        self.kubectl_file = kubectl
        self.manifest = manifest
        self.manager = manager
        self.began = time.monotonic()
        self.passed = 0

    def step(self, what: str, limit: float, act: Callable[[float], str]) -> None:
        begun = time.monotonic()
        try:
            found = act(begun + limit)
        except NOT_YET as error:
            print(f"FAILED  {time.monotonic() - begun:6.1f} s  {what}: {error}", flush=True)
            raise Failed(what) from error
        self.passed += 1
        total = time.monotonic() - self.began
        print(f"passed  {time.monotonic() - begun:6.1f} s  {what}: {found}  (at {total:.1f} s)", flush=True)

    def kubectl(self, *words: str, text: str = "", limit: float = 60) -> str:
        done = subprocess.run(
            [self.kubectl_file, *words], input=text, capture_output=True, text=True, timeout=limit, check=False
        )
        if done.returncode != 0:
            raise Failed(f"kubectl {' '.join(words)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def parsed(self, text: str) -> list:
        """The objects of a manifest."""
        words = ["create", "--dry-run=client", "--validate=false", "--output", "json", "--filename", "-"]
        said, objects = self.kubectl(*words, text=text).strip(), []
        while said:
            found, end = json.JSONDecoder().raw_decode(said)
            objects.extend(found.get("items", [found]))
            said = said[end:].strip()
        return objects

    def get(self, *words: str) -> dict:
        return json.loads(self.kubectl("get", "--namespace", NAMESPACE, "--output", "json", *words))

    def pods(self, kind: str) -> list:
        selector = f"ray.io/cluster={CLUSTER},ray.io/node-type={kind}"
        return self.get("pods", "--selector", selector)["items"]

    def head(self) -> str:
        return self.pods("head")[0]["metadata"]["name"]

    def python(self, text: str) -> str:
        """What the head's own container says to a program on standard input."""
        command = ["exec", self.head(), "--stdin", "--container", "ray-head", "--", "python"]
        return self.kubectl(*command, text=text, limit=120)

    def nodes_alive(self, cluster: str = CLUSTER) -> list:
        """The workers of Ray that the dashboard calls alive."""
        service = f"/api/v1/namespaces/{NAMESPACE}/services/{cluster}-head-svc:8265/proxy"
        answer = json.loads(self.kubectl("get", "--raw", f"{service}/api/v0/nodes?limit=1000"))
        nodes = answer["data"]["result"]["result"]
        return [node for node in nodes if node["state"] == "ALIVE" and not node["is_head_node"]]

    def left(self) -> set:
        """Everything in the namespace, by kind and name."""
        return set(self.kubectl("get", "--namespace", NAMESPACE, "--output", "name", KINDS).split())


def until(limit: float, probe: Callable[[], tuple]) -> str:
    """Ask until the answer is (True, words); a refused question counts as a no."""
    said = "nothing was seen"
    while time.monotonic() < limit:
        try:
            good, said = probe()
        except NOT_YET as error:
            good, said = False, str(error)
        if good:
            return said
        time.sleep(0.2)
    raise Failed(f"not in time; last: {said}")


def conditions(of: dict) -> dict:
    """The conditions of an object's status, by type."""
    return {each["type"]: each for each in of.get("status", {}).get("conditions", [])}


def ready(pod: dict) -> str:
    states = pod.get("status", {}).get("containerStatuses", [])
    return f"{sum(state['ready'] for state in states)}/{len(pod['spec']['containers'])}"


def head_is_ready(walk: Walk, limit: float) -> str:
    def probe() -> tuple:
        pod = walk.pods("head")[0]
        restarts = sum(state["restartCount"] for state in pod["status"].get("containerStatuses", []))
        return ready(pod) == "2/2" and restarts == 0, f"{pod['metadata']['name']} {ready(pod)}, {restarts} restarts"

    return until(limit, probe)


def identity_is_there(walk: Walk, _limit: float) -> str:
    name = IDENTITY[walk.manager]
    for kind in ("serviceaccount", "role", "rolebinding"):
        walk.get(kind, name)
    account = walk.pods("head")[0]["spec"]["serviceAccountName"]
    if account != name:
        raise Failed(f"the head runs as {account}")
    return f"account, Role and RoleBinding {name}, and the head runs as it"


def sidecar_is_one(walk: Walk, _limit: float) -> str:
    """Where the sidecar stands: in the stored template, or with KubeRay in the Pod alone."""
    pod = walk.pods("head")[0]
    made_by = pod["metadata"]["labels"]["app.kubernetes.io/created-by"]
    template = walk.get("raycluster", CLUSTER)["spec"]["headGroupSpec"]["template"]["spec"]
    stored = [container["name"] for container in template["containers"]]
    wanted = ["ray-head", "autoscaler"] if walk.manager == "raywarden" else ["ray-head"]
    account = template.get("serviceAccountName")
    named = IDENTITY["raywarden"] if walk.manager == "raywarden" else None
    running = [container["name"] for container in pod["spec"]["containers"]]
    if running != ["ray-head", "autoscaler"] or stored != wanted or account != named:
        raise Failed(f"Pod {running}, template {stored}, account {account}")
    return f"Pod {running}, made by {made_by}; stored template {stored}, account {account}"


def autoscaler_is_well(walk: Walk, limit: float) -> str:
    """What its log says: it looks again and again, and no look failed."""

    def probe() -> tuple:
        log = walk.kubectl("logs", walk.head(), "--container", "autoscaler")
        bad = [line for line in log.splitlines() if "Traceback" in line or " ERROR " in line]
        if bad:
            raise Failed(bad[0])
        # The first is the one of v1, the second of v2.
        looks = log.count("Autoscaler status:") + log.count("Fetched pod data at resource version")
        return looks >= 2, f"{looks} looks at the cluster, no error"

    return until(limit, probe)


def workers_are(walk: Walk, count: int, limit: float) -> str:
    """Pods by the API server, nodes by Ray; both say `count`."""

    def probe() -> tuple:
        names = {pod["metadata"]["name"] for pod in walk.pods("worker")}
        alive = walk.nodes_alive()
        return len(alive) == count == len(names), f"{len(alive)} alive by the dashboard, {len(names)} Pods"

    return until(limit, probe)


def status_is_ready(walk: Walk, limit: float) -> str:
    def probe() -> tuple:
        status = walk.get("raycluster", CLUSTER).get("status", {})
        workers = status.get("readyWorkerReplicas", 0)
        return status.get("state") == "ready" and workers == GROUP_SIZE, f"{status.get('state')}, {workers} workers ready"

    return until(limit, probe)


def report_agrees(walk: Walk, limit: float) -> str:
    def probe() -> tuple:
        joined = walk.get("rcr", CLUSTER)["report"]["workers"]["joined"]
        return joined == GROUP_SIZE, f"its RayClusterReport says {joined} joined"

    return until(limit, probe)


def another_apply_costs_nothing(walk: Walk, _limit: float) -> str:
    """The sample writes `replicas: 0`. A person may; with autoscaling on no Pod goes for it."""

    def workers() -> set:
        return {pod["metadata"]["uid"] for pod in walk.pods("worker") if "deletionTimestamp" not in pod["metadata"]}

    before = workers()
    walk.kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", text=walk.manifest)
    time.sleep(SETTLES)
    if workers() != before:
        raise Failed(f"of {len(before)} workers {len(before & workers())} are left")
    return f"{SETTLES} s after the same file the same {len(before)} workers run"


def take(walk: Walk) -> None:
    until(time.monotonic() + 60, lambda: (not walk.pods("head") + walk.pods("worker"), "an earlier cluster is still there"))
    before = walk.left()
    walk.began = time.monotonic()
    step = walk.step

    def apply(_limit: float) -> str:
        return walk.kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", text=walk.manifest).replace("\n", ", ").strip(", ")

    def delete(_limit: float) -> str:
        words = ["--namespace", NAMESPACE, "--filename", "-", "--timeout=90s"]
        return walk.kubectl("delete", *words, text=walk.manifest, limit=120).replace("\n", ", ").strip(", ")

    def nothing_left(limit: float) -> str:
        def probe() -> tuple:
            new = sorted(walk.left() - before)
            return not new, f"left: {new or 'nothing'}"
        return until(limit, probe)

    def ask(text: str, said: str) -> Callable[[float], str]:
        return lambda _limit: walk.python(text) and said or said

    snippet = (TESTS / "ray" / "walkthrough.py").read_text()
    step("kubectl apply", 30, apply)
    step("the head's Pod is 2/2", 120, lambda limit: head_is_ready(walk, limit))
    step("the autoscaler's identity", 10, lambda limit: identity_is_there(walk, limit))
    step("the autoscaler's container", 10, lambda limit: sidecar_is_one(walk, limit))
    step("the autoscaler's log", 60, lambda limit: autoscaler_is_well(walk, limit))
    step("request_resources(num_cpus=4)", 60, ask(snippet, "said in the head's container"))
    step("four workers join Ray", 120, lambda limit: workers_are(walk, GROUP_SIZE, limit))
    step("the RayCluster's status", 60, lambda limit: status_is_ready(walk, limit))
    step("the report", 60, lambda limit: report_agrees(walk, limit))
    step("kubectl apply again", 30, lambda limit: another_apply_costs_nothing(walk, limit))
    step("request_resources(num_cpus=0)", 60, ask(RELEASE, "said in the head's container"))
    step("idle workers leave", 240, lambda limit: workers_are(walk, 0, limit))
    step("kubectl delete", 120, delete)
    step("what is left", 90, nothing_left)


def with_image(manifest: Path, image: str) -> str:
    """KubeRay's sample, verbatim but for the image of Ray."""
    ours, seen = [], 0
    for line in manifest.read_text().splitlines(keepends=True):
        before, named, _ = line.partition("image: rayproject/ray:")
        # A comment that names one is left alone.
        if named and not before.strip():
            line, seen = f"{before}image: {image}\n", seen + 1
        ours.append(line)
    if not seen:
        raise SystemExit(f"{manifest} names no image of Ray")
    return "".join(ours)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--manifest", required=True, type=Path, help="KubeRay's sample")
    parser.add_argument("--image", required=True, help="what stands for the sample's image of Ray")
    parser.add_argument("--node-manager", choices=IDENTITY, default="raywarden", help="who makes the Pods")
    args = parser.parse_args()
    manifest = with_image(args.manifest, args.image)
    walk = Walk(args.kubectl, manifest, args.node_manager)
    try:
        take(walk)
    except Failed:
        print(f"{walk.passed} passed, 1 failed", flush=True)
        return 1
    print(f"{walk.passed} passed, 0 failed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
