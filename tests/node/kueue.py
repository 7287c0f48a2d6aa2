#!/usr/bin/env python3
"""Beside Kueue on a real node: RayClusters of a queue wait suspended, are admitted when quota permits,
run, scale, and are taken back; with raywarden's mutating webhook after Kueue's and before it. The head's
quota is that of the Pod that runs, sidecar included.

One line per check with its time; after one that failed there is no next. Expects a node of up.sh with
raywarden on it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from walkthrough import NAMESPACE, Failed, Walk, conditions, ready, until, with_image

HERE = Path(__file__).resolve().parent
SETUP_SECONDS = 240
QUEUE = "research"
ELASTIC, FIXED = "elastic", "fixed"
KINDS = "workloads.kueue.x-k8s.io"
# Before Kueue's in the order of names, by which the API server asks them.
EARLY = "a-raywarden"
ORDERS = {"after": "raywarden", "before": EARLY}
# Half a CPU and half a gigabyte less than the sample's, so that the sum is nobody's default.
SIDECAR = {"cpu": "200m", "memory": "640Mi"}
IDLE_SECONDS = 10
WORKERS = 2
SCALE = "import ray.autoscaler.sdk\nray.init('auto')\nray.autoscaler.sdk.request_resources(num_cpus={})\n"
UNITS = {"m": Decimal("0.001"), "Mi": Decimal(1 << 20), "Gi": Decimal(1 << 30)}


def number(quantity: str) -> Decimal:
    for unit, worth in UNITS.items():
        if quantity.endswith(unit):
            return Decimal(quantity.removesuffix(unit)) * worth
    return Decimal(quantity)


def asked_for(spec: dict) -> dict:
    """What the containers of a Pod ask for together."""
    total = {"cpu": Decimal(0), "memory": Decimal(0)}
    for container in spec["containers"]:
        for resource in total:
            total[resource] += number(container["resources"]["requests"][resource])
    return total


def words(total: dict) -> str:
    return f"{total['cpu']} CPU and {total['memory'] / (1 << 20):f} Mi"


def listed(objects: tuple) -> str:
    """Objects as kubectl reads them."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


class Queued(Walk):
    """The steps and what they need of the node."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args.kubectl, with_image(args.manifest, args.image), args.node_manager)
        objects = self.parsed(self.manifest)
        self.base = next(each for each in objects if each["kind"] == "RayCluster")
        self.others = [each for each in objects if each["kind"] != "RayCluster"]

    def apply(self, *objects: dict) -> None:
        self.kubectl("apply", "--filename", "-", text=listed(objects))

    def delete(self, *objects: dict) -> None:
        self.kubectl("delete", "--ignore-not-found", "--filename", "-", text=listed(objects))

    def quota(self, cpu: str, *, stop: str = "None") -> None:
        resources = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "64Gi"}]
        flavors = [{"name": QUEUE, "resources": resources}]
        spec = {"namespaceSelector": {}, "stopPolicy": stop, "resourceGroups": [{"coveredResources": ["cpu", "memory"], "flavors": flavors}]}
        kueue = "kueue.x-k8s.io/v1beta2"
        self.apply(
            {"apiVersion": kueue, "kind": "ResourceFlavor", "metadata": {"name": QUEUE}},
            {"apiVersion": kueue, "kind": "ClusterQueue", "metadata": {"name": QUEUE}, "spec": spec},
            {"apiVersion": kueue, "kind": "LocalQueue", "metadata": {"name": QUEUE, "namespace": NAMESPACE}, "spec": {"clusterQueue": QUEUE}},
        )

    def cluster(self, name: str, *, elastic: bool) -> dict:
        """The sample in the queue; its sidecar has a size of its own, written half."""
        made = json.loads(json.dumps(self.base))
        made["metadata"] = {"name": name, "namespace": NAMESPACE, "labels": {"kueue.x-k8s.io/queue-name": QUEUE}}
        spec = made["spec"]
        spec["enableInTreeAutoscaling"] = elastic
        if elastic:
            made["metadata"]["annotations"] = {"kueue.x-k8s.io/elastic-job": "true"}
            spec["autoscalerOptions"] = {"idleTimeoutSeconds": IDLE_SECONDS, "resources": {"limits": SIDECAR}}
        else:
            del spec["autoscalerOptions"]
            spec["workerGroupSpecs"][0].update(replicas=1, minReplicas=1, maxReplicas=1)
        return made

    def stored(self, name: str) -> dict:
        return self.get("raycluster", name)

    def all_pods(self, name: str) -> list:
        return self.get("pods", "--selector", f"ray.io/cluster={name}")["items"]

    def head_of(self, name: str) -> dict:
        for pod in self.all_pods(name):
            if pod["metadata"]["labels"]["ray.io/node-type"] == "head" and "deletionTimestamp" not in pod["metadata"]:
                return pod
        raise Failed(f"{name} has no head")

    def workload(self, name: str) -> dict:
        """The newest that Kueue keeps for a cluster."""
        uid = self.stored(name)["metadata"]["uid"]
        own = [each for each in self.get(KINDS)["items"] if any(owner["uid"] == uid for owner in each["metadata"]["ownerReferences"])]
        open_ones = [each for each in own if not holds(each, "Finished")]
        if not open_ones:
            raise Failed(f"Kueue has no Workload for {name}")
        return max(open_ones, key=lambda each: each["metadata"]["creationTimestamp"])

    def say(self, name: str, text: str) -> None:
        head = self.head_of(name)["metadata"]["name"]
        self.kubectl("exec", head, "--stdin", "--container", "ray-head", "--namespace", NAMESPACE, "--", "python", text=text, limit=120)


def holds(workload: dict, kind: str) -> bool:
    return conditions(workload).get(kind, {}).get("status") == "True"


def counts(workload: dict) -> dict:
    return {each["name"]: each["count"] for each in workload["spec"]["podSets"]}


def waits(walk: Queued, name: str, limit: float) -> str:
    """It waits for quota, suspended and without Pods; Kueue says why."""

    def probe() -> tuple:
        # Kueue writes it a moment after the Workload itself; a key that is missing is a no.
        reserved = conditions(walk.workload(name))["QuotaReserved"]
        return reserved["status"] == "False", reserved["message"]

    why = until(limit, probe)
    if walk.stored(name)["spec"].get("suspend") is not True or walk.all_pods(name):
        raise Failed(f"suspend is {walk.stored(name)['spec'].get('suspend')}, Pods: {len(walk.all_pods(name))}")
    return f"suspended, no Pod: {why}"


def runs(walk: Queued, name: str, containers: str, workers: int, limit: float) -> str:
    """Resumed and admitted; its head is ready, and so are so many workers by the head's dashboard."""

    def probe() -> tuple:
        head = walk.head_of(name)
        workload = walk.workload(name)
        alive = len(walk.nodes_alive(name))
        good = ready(head) == containers and alive == workers and holds(workload, "Admitted")
        suspended = walk.stored(name)["spec"].get("suspend")
        return good and not suspended, f"{head['metadata']['name']} {ready(head)}, {alive} workers joined, suspend {suspended}, Workload for {counts(workload)}"

    return until(limit, probe)


def elastic(walk: Queued) -> None:
    """A cluster with an autoscaler in the queue."""
    step = walk.step
    head = walk.base["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    cpu = number(head["cpu"]) + number(SIDECAR["cpu"])
    worker = number(walk.base["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])

    def made(limit: float) -> str:
        # The head alone would have room.
        walk.quota(str(cpu - Decimal("0.1")))
        walk.apply(walk.cluster(ELASTIC, elastic=True))
        told = waits(walk, ELASTIC, limit)
        spec = walk.stored(ELASTIC)["spec"]
        template = spec["headGroupSpec"]["template"]["spec"]
        stored = [container["name"] for container in template["containers"]]
        if stored != ["ray-head"] or "serviceAccountName" in template:
            raise Failed(f"stored containers {stored}, account {template.get('serviceAccountName')}")
        options = spec["autoscalerOptions"]
        if options["resources"] != {"limits": SIDECAR, "requests": SIDECAR}:
            raise Failed(f"{options}")
        return f"{told}; stored containers {stored}, options {json.dumps(options['resources'])}"

    def admitted(limit: float) -> str:
        walk.quota(str(cpu))
        return runs(walk, ELASTIC, "2/2", 0, limit)

    def counted(_limit: float) -> str:
        podset = next(each for each in walk.workload(ELASTIC)["spec"]["podSets"] if each["name"] == "head")
        queue, pod = asked_for(podset["template"]["spec"]), asked_for(walk.head_of(ELASTIC)["spec"])
        if queue != pod:
            raise Failed(f"Kueue counts {words(queue)}, the Pod asks for {words(pod)}")
        return f"Kueue counts {words(queue)}, the Pod asks for the same"

    def more(limit: float) -> str:
        walk.say(ELASTIC, SCALE.format(WORKERS))

        def probe() -> tuple:
            workload = walk.workload(ELASTIC)
            wanted = counts(workload)["small-group"]
            return wanted == WORKERS and not holds(workload, "Admitted"), f"a Workload for {counts(workload)}, admitted: {holds(workload, 'Admitted')}"

        told = until(limit, probe)
        if alive := walk.nodes_alive(ELASTIC):
            raise Failed(f"{len(alive)} workers run above the quota")
        return f"{told}; no worker runs"

    def room(limit: float) -> str:
        walk.quota(str(cpu + WORKERS * worker))
        return runs(walk, ELASTIC, "2/2", WORKERS, limit)

    def less(limit: float) -> str:
        walk.say(ELASTIC, SCALE.format(0))
        told = runs(walk, ELASTIC, "2/2", 0, limit)

        def probe() -> tuple:
            left = counts(walk.workload(ELASTIC))["small-group"]
            return left == 0, f"Kueue counts {left} workers"

        return f"{told}; {until(limit, probe)}"

    step("an autoscaled cluster waits", 60, made)
    step("quota for head and sidecar", 120, admitted)
    step("the head's quota", 10, counted)
    step(f"request_resources(num_cpus={WORKERS}) without quota", 90, more)
    step("quota for the workers", 120, room)
    step("idle workers leave", 180, less)


def fixed(walk: Queued) -> None:
    """A cluster without one, taken back by its queue and admitted again."""
    step = walk.step

    def admitted(limit: float) -> str:
        walk.apply(walk.cluster(FIXED, elastic=False))
        return runs(walk, FIXED, "1/1", 1, limit)

    def held(limit: float) -> str:
        walk.quota("20", stop="HoldAndDrain")

        def probe() -> tuple:
            suspended, pods = walk.stored(FIXED)["spec"].get("suspend"), len(walk.all_pods(FIXED))
            return suspended is True and not pods, f"suspend {suspended}, {pods} Pods"

        return until(limit, probe)

    def again(limit: float) -> str:
        walk.quota("20")
        return runs(walk, FIXED, "1/1", 1, limit)

    walk.quota("20")
    step("a cluster of fixed size", 120, admitted)
    step("its queue is drained", 120, held)
    step("its queue is open again", 180, again)


def order(walk: Queued, name: str) -> Callable[[float], str]:
    """raywarden's mutating webhook under this name, and under no other."""

    def act(limit: float) -> str:
        kind = "mutatingwebhookconfiguration"
        if name == EARLY:
            early = json.loads(walk.kubectl("get", kind, "raywarden", "--output", "json"))
            early["metadata"] = {"name": EARLY}
            walk.apply(early)
            walk.kubectl("delete", kind, "raywarden")
        bad = str(HERE.parent / "demo" / "bad.yaml")

        def probe() -> tuple:
            try:
                walk.kubectl("create", "--dry-run=server", "--filename", bad)
            except Failed as error:
                return "[raywarden bounds/" in str(error), str(error)
            return False, "a bad file is admitted"

        until(limit, probe)
        names = walk.kubectl("get", kind, "--output", "name").split()
        return " then ".join(each.partition("/")[2] for each in names)

    return act


def put_back(walk: Queued) -> None:
    """raywarden's own registration, filled again by itself."""
    kind = "mutatingwebhookconfiguration"
    empty = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    labels = {"app.kubernetes.io/name": "raywarden", "app.kubernetes.io/component": "webhook"}
    walk.apply(empty | {"metadata": {"name": "raywarden", "labels": labels}})
    walk.kubectl("delete", kind, EARLY, "--ignore-not-found")


def clear(walk: Queued, limit: float) -> str:
    walk.kubectl("delete", "rayclusters", "--all", "--namespace", NAMESPACE, "--timeout=90s", limit=100)

    def probe() -> tuple:
        left = [*walk.get(KINDS)["items"], *walk.all_pods(ELASTIC), *walk.all_pods(FIXED)]
        return not left, f"left: {[each['metadata']['name'] for each in left]}"

    until(limit, probe)
    return "no Workload, no Pod"


def take(walk: Queued, orders: list) -> None:
    def kueue(_limit: float) -> str:
        begun = subprocess.run([HERE / "kueue.sh", "up"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False)
        if begun.returncode != 0:
            raise Failed(begun.stderr[-2000:])
        walk.apply(*walk.others)
        return begun.stderr.strip().splitlines()[-1].partition("node: ")[2]

    walk.step("Kueue", SETUP_SECONDS, kueue)
    for each in orders:
        walk.step(f"raywarden's webhook {each} Kueue's", 60, order(walk, ORDERS[each]))
        elastic(walk)
        fixed(walk)
        walk.step("kubectl delete", 120, lambda limit: clear(walk, limit))
    walk.delete(*walk.others)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--manifest", required=True, type=Path, help="KubeRay's sample")
    parser.add_argument("--image", required=True, help="what stands for the sample's image of Ray")
    parser.add_argument("--node-manager", choices=("raywarden", "kuberay"), default="raywarden", help="who makes the Pods")
    parser.add_argument("--order", choices=ORDERS, action="append", help="only this order of webhooks")
    args = parser.parse_args()
    walk = Queued(args)
    failed = 0
    try:
        take(walk, args.order or list(ORDERS))
    except Failed:
        failed = 1
    try:
        put_back(walk)
    except Failed as error:
        failed += 1
        print(f"FAILED  raywarden's registration: {error}", flush=True)
    print(f"{walk.passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
