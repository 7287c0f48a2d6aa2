#!/usr/bin/env python3
"""Life beside KubeRay's operator on a real node: installing, upgrading and removing raywarden changes
nothing that is stored; one sidecar per head; nothing drifts; two managers are never at work; clusters
pass on and back without losing a Pod, and their heads come back under the new manager.

One line per check with its time; after one that failed there is no next. Expects a node of up.sh,
and takes whatever raywarden and KubeRay stand on it away first.
"""

import argparse
import copy
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from walkthrough import NAMESPACE, Failed, Walk, conditions, ready, until, with_image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOME = "raywarden-system"
SAMPLES = "samples"
# With a worker each: made by KubeRay alone, beside raywarden, and by raywarden.
ALONE, LATER, OURS = "alone", "later", "ours"
SETUP_SECONDS = 180
# KubeRay and raywarden look at a cluster every few seconds, and raywarden for another manager every ten.
ROUNDS = 25
BACK_SECONDS = 120
UPGRADED = {"cpu": "500m", "memory": "640Mi"}
DEFAULT = {"cpu": "500m", "memory": "512Mi"}
MAKERS = {"raywarden": "raywarden", "kuberay": "kuberay-operator"}


class Beside(Walk):
    """The steps and what they need of the node."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        super().__init__(args.kubectl, with_image(args.manifest, args.image), "kuberay")
        self.args = args
        self.scratch = scratch
        self.watched = args.watch
        self.base = next(each for each in self.parsed(self.manifest) if each["kind"] == "RayCluster")
        self.program = program_of(args.archive, scratch)

    def script(self, *words: str) -> None:
        # Of the folder's own scripts; what they start outlives them.
        with (self.scratch / "script.log").open("w+") as log:
            done = subprocess.run([HERE / words[0], *words[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=SETUP_SECONDS * 2, check=False)
            log.seek(0)
            if done.returncode != 0:
                raise Failed(f"{' '.join(words)}: {log.read()[-1500:]}")

    def hand_over(self, to: str) -> str:
        done = subprocess.run([self.program, "handover", "--to", to, "--all"], capture_output=True, text=True, timeout=SETUP_SECONDS, check=False)
        if done.returncode != 0:
            raise Failed(f"handover --to {to}: {done.stdout[-1500:]}{done.stderr[-500:]}")
        return done.stdout

    def apply(self, objects: list, namespace: str = NAMESPACE) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        # Defaults of the CRD make some valid that kubectl's own check refuses.
        self.kubectl("apply", "--validate=false", "--namespace", namespace, "--filename", "-", text=text)

    def cluster(self, name: str, workers: int, *, options: bool = True) -> dict:
        """The sample under another name, with just so many workers.

        Ray's autoscaler may ask for one more where a worker went and another came between two of its looks.
        """
        made = copy.deepcopy(self.base)
        made["metadata"] = {"name": name}
        made["spec"]["workerGroupSpecs"][0].update(replicas=workers, minReplicas=workers, maxReplicas=workers)
        if not options:
            del made["spec"]["autoscalerOptions"]
        return made

    def stored(self) -> dict:
        """What is stored of every RayCluster but its status."""
        items = json.loads(self.kubectl("get", "rayclusters", "--all-namespaces", "--output", "json"))["items"]
        return {each["metadata"]["uid"]: kept(each) for each in items}

    def one(self, name: str) -> dict:
        return self.get("raycluster", name)

    def nodes(self, name: str) -> list:
        """Its Pods that are not on their way out."""
        pods = self.get("pods", "--selector", f"ray.io/cluster={name}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def head_of(self, name: str) -> dict:
        return self.pod_of(name, "head")

    def pod_of(self, name: str, kind: str) -> dict:
        for pod in self.nodes(name):
            if pod["metadata"]["labels"]["ray.io/node-type"] == kind:
                return pod
        raise Failed(f"{name} has no {kind}")

    def deployment(self) -> None:
        self.kubectl("-n", HOME, "rollout", "status", "deployment/raywarden", "--timeout=120s", limit=130)


def kept(cluster: dict) -> dict:
    """What no installation of ours may change."""
    meta = cluster["metadata"]
    return {
        "name": f"{meta['namespace']}/{meta['name']}",
        "generation": meta["generation"],
        "labels": meta.get("labels"),
        "annotations": meta.get("annotations"),
        "finalizers": meta.get("finalizers"),
        "spec": cluster["spec"],
    }


def program_of(archive: Path, scratch: Path) -> Path:
    """raywarden's program out of its own image."""
    with tarfile.open(archive) as image:

        def blob(digest: str) -> bytes:
            return image.extractfile(f"blobs/{digest.replace(':', '/')}").read()

        index = json.load(image.extractfile("index.json"))
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        layer = blob(manifest["layers"][-1]["digest"])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tree:
        data = tree.extractfile("./raywarden").read()
    program = scratch / "raywarden"
    program.write_bytes(data)
    program.chmod(0o755)
    return program


def differences(before: dict, after: dict) -> list:
    """Where two looks at the stored clusters differ, named."""
    found = [f"{before[uid]['name']} is gone" for uid in before.keys() - after.keys()]
    found += [f"{after[uid]['name']} is new" for uid in after.keys() - before.keys()]
    for uid in before.keys() & after.keys():
        old, new = before[uid], after[uid]
        found += [f"{old['name']} {key}: {json.dumps(old[key])[:300]} -> {json.dumps(new[key])[:300]}" for key in old if old[key] != new[key]]
    return sorted(found)


def unchanged(walk: Beside, before: dict, seconds: float) -> str:
    """Nothing stored changes, now and at any look within `seconds`."""
    until_then = time.monotonic() + seconds
    looks = 0
    while True:
        if found := differences(before, walk.stored()):
            raise Failed("; ".join(found)[:1500])
        looks += 1
        if time.monotonic() >= until_then:
            return f"{len(before)} RayClusters as before, {looks} looks in {seconds:.0f} s"
        time.sleep(1)


def head_runs(walk: Beside, name: str, maker: str, limit: float, *, but: str = "") -> str:
    """Its head is 2/2 with one sidecar, another Pod than `but`, made by `maker`."""

    def probe() -> tuple:
        head = walk.head_of(name)
        made_by = head["metadata"]["labels"]["app.kubernetes.io/created-by"]
        containers = [container["name"] for container in head["spec"]["containers"]]
        other = head["metadata"]["uid"] != but
        if other and containers.count("autoscaler") != 1:
            raise Failed(f"{name}'s head has containers {containers}")
        return ready(head) == "2/2" and other and made_by == MAKERS[maker], f"{head['metadata']['name']} {ready(head)} by {made_by}"

    return until(limit, probe)


def runs(walk: Beside, name: str, maker: str, limit: float) -> str:
    """Head and worker are there, and the head's dashboard calls the worker alive."""
    head = head_runs(walk, name, maker, limit)

    def probe() -> tuple:
        workers = [pod for pod in walk.nodes(name) if pod["metadata"]["labels"]["ray.io/node-type"] == "worker"]
        alive = walk.nodes_alive(name)
        return len(workers) == len(alive) == 1 and ready(workers[0]) == "1/1", f"{len(alive)} of {len(workers)} workers alive"

    return f"{head}, {until(limit, probe)}"


def suspended_samples(walk: Beside) -> list:
    """KubeRay's own RayCluster samples, suspended: stored as they are, and without Pods."""
    files = sorted(walk.args.manifest.parent.glob("ray-cluster*.yaml"))
    documents = [part for file in files for part in re.split(r"^---.*$", file.read_text(), flags=re.MULTILINE)]
    wanted = [part for part in documents if re.search(r"^kind: RayCluster\s*$", part, re.MULTILINE)]
    found = {}
    for each in walk.parsed("\n---\n".join(wanted)):
        # KubeRay would keep these for ever in a namespace that is deleted.
        if "gcsFaultToleranceOptions" in each["spec"] or "ray.io/ft-enabled" in each["metadata"].get("annotations", {}):
            continue
        each["spec"]["suspend"] = True
        each["metadata"].pop("namespace", None)
        found[each["metadata"]["name"]] = each
    return list(found.values())


def readiness(walk: Beside) -> list:
    """What each replica says of who makes nodes."""
    pods = json.loads(walk.kubectl("-n", HOME, "get", "pods", "--output", "json"))["items"]
    names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    pages = [walk.kubectl("get", "--raw", f"/api/v1/namespaces/{HOME}/pods/https:{name}:9443/proxy/readyz?verbose") for name in names]
    return [line for page in pages for line in page.splitlines() if "node-manager:" in line]


def overlay(walk: Beside, image: str) -> None:
    """raywarden's manifests with another image and another setting, applied as an upgrade is."""
    folder = walk.scratch / "upgrade"
    folder.mkdir(exist_ok=True)
    base = os.path.relpath(ROOT / "deploy", folder)
    setting = {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": f"--sidecar-memory={UPGRADED['memory']}"}
    name, _, tag = image.rpartition(":")
    (folder / "kustomization.yaml").write_text(
        json.dumps(
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [base],
                "images": [{"name": "raywarden", "newName": name, "newTag": tag}],
                "patches": [{"target": {"kind": "Deployment", "name": "raywarden"}, "patch": json.dumps([setting])}],
            }
        )
    )
    walk.kubectl("apply", "--kustomize", str(folder))
    walk.deployment()


def take(walk: Beside) -> None:
    step = walk.step

    def clear(_limit: float) -> str:
        walk.kubectl("delete", "rayclusters", "--all", "--namespace", NAMESPACE, limit=SETUP_SECONDS)
        walk.kubectl("delete", "namespace", SAMPLES, "--ignore-not-found", limit=SETUP_SECONDS)
        remove(walk)
        return "neither raywarden nor KubeRay is here"

    def kuberay_alone(limit: float) -> str:
        walk.script("kuberay.sh", "up")
        walk.kubectl("create", "namespace", SAMPLES)
        samples = suspended_samples(walk)
        walk.apply(samples, SAMPLES)
        walk.apply([each for each in walk.parsed(walk.manifest) if each["kind"] != "RayCluster"])
        walk.apply([walk.cluster(ALONE, 1)])
        return f"{len(samples)} suspended samples, and {runs(walk, ALONE, 'kuberay', limit)}"

    def install(_limit: float) -> str:
        before = walk.stored()
        walk.script("install.sh", "auto")
        return unchanged(walk, before, ROUNDS)

    def who(limit: float) -> str:
        def probe() -> tuple:
            said = readiness(walk)
            return len(said) == 2 and all("makes no nodes" in line for line in said), "; ".join(said)

        return until(limit, probe)

    def beside(limit: float) -> str:
        walk.apply([walk.cluster(LATER, 1, options=False)])
        told = runs(walk, LATER, "kuberay", limit)
        options = walk.one(LATER)["spec"]["autoscalerOptions"]
        stored = [each["name"] for each in walk.one(LATER)["spec"]["headGroupSpec"]["template"]["spec"]["containers"]]
        sidecar = walk.head_of(LATER)["spec"]["containers"][1]
        if options["resources"] != {"limits": DEFAULT, "requests": DEFAULT} or sidecar["resources"] != options["resources"]:
            raise Failed(f"stored options {options}, sidecar {sidecar['resources']}")
        if stored != ["ray-head"]:
            raise Failed(f"stored containers {stored}")
        return f"{told}; stored options {json.dumps(options)}"

    def upgrade(_limit: float) -> str:
        before = walk.stored()
        image = walk.get("deployment", "raywarden", "--namespace", HOME)["spec"]["template"]["spec"]["containers"][0]["image"]
        newer = f"{image.rpartition(':')[0]}:newer"
        names = [f"docker.io/library/{name}" for name in (image, newer)]
        tag = ["ctr", "--address", walk.args.containerd, "--namespace", "k8s.io", "images", "tag", "--force", *names]
        subprocess.run(tag, check=True, capture_output=True, timeout=60)
        overlay(walk, newer)
        told = unchanged(walk, before, ROUNDS)
        walk.apply([walk.cluster(ALONE, 1), walk.cluster(LATER, 1, options=False)])
        return f"{told}; and after both files were applied again: {unchanged(walk, before, 5)}"

    def new_default(_limit: float) -> str:
        fresh = walk.cluster("fresh", 0, options=False)
        fresh["spec"]["suspend"] = True
        walk.apply([fresh])
        resources = walk.one("fresh")["spec"]["autoscalerOptions"]["resources"]
        if resources != {"limits": UPGRADED, "requests": UPGRADED}:
            raise Failed(f"{resources}")
        return f"a new cluster gets {json.dumps(resources['requests'])}"

    def minutes(_limit: float) -> str:
        pods = uids(walk, (ALONE, LATER))
        told = unchanged(walk, walk.stored(), walk.watched)
        same_pods(walk, pods, 0)
        return f"{told}; the same {len(pods)} Pods; {runs(walk, ALONE, 'kuberay', time.monotonic() + 5)}"

    def both(_limit: float) -> str:
        """raywarden is told to make nodes while KubeRay's operator lives."""
        before = walk.stored()
        walk.script("install.sh", "standalone")
        walk.kubectl("delete", "pod", walk.pod_of(ALONE, "worker")["metadata"]["name"], "--namespace", NAMESPACE)
        told = unchanged(walk, before, ROUNDS)
        made = runs(walk, ALONE, "kuberay", time.monotonic() + 60)
        ours = [pod["metadata"]["name"] for name in (ALONE, LATER) for pod in walk.nodes(name) if pod["metadata"]["labels"]["app.kubernetes.io/created-by"] == "raywarden"]
        if ours:
            raise Failed(f"raywarden made {ours}")
        said = conditions(walk.one(ALONE))["ForeignNodeManager"]
        if said["status"] != "True":
            raise Failed(f"{said}")
        return f"{told}; {made}; condition ForeignNodeManager: {said['message']}"

    def peace(_limit: float) -> str:
        """Neither writes the other's status over and over."""
        before = versions(walk)
        time.sleep(ROUNDS)
        moved = {name: (version, versions(walk)[name]) for name, version in before.items() if versions(walk)[name] != version}
        if moved:
            raise Failed(f"written in {ROUNDS} s: {moved}")
        return f"{len(before)} RayClusters not written in {ROUNDS} s, status included"

    def to_raywarden(_limit: float) -> str:
        before, pods = walk.stored(), uids(walk, (ALONE, LATER))
        walk.script("kuberay.sh", "down")
        said = walk.hand_over("raywarden")
        same_pods(walk, pods, ROUNDS)
        changed = [line for line in differences(before, walk.stored()) if " annotations: " not in line]
        if changed:
            raise Failed("; ".join(changed)[:1500])
        return f"{said.count('handed over to raywarden')} clusters; the same {len(pods)} Pods {ROUNDS} s later, no generation moved"

    def heads_back(names: tuple, maker: str) -> Callable[[float], str]:
        def act(limit: float) -> str:
            heads = {name: walk.head_of(name)["metadata"] for name in names}
            for head in heads.values():
                walk.kubectl("delete", "pod", head["name"], "--namespace", NAMESPACE, "--wait=false")
            begun = time.monotonic()
            told = "; ".join(head_runs(walk, name, maker, limit, but=head["uid"]) for name, head in heads.items())
            told += f" after {time.monotonic() - begun:.1f} s"
            # Workers of a head that is gone end by themselves, and are made anew.
            return "; ".join([told, *(runs(walk, name, maker, limit + SETUP_SECONDS) for name in names)])

        return act

    def a_third(limit: float) -> str:
        walk.apply([walk.cluster(OURS, 1)])
        told = runs(walk, OURS, "raywarden", limit)
        stored = [each["name"] for each in walk.one(OURS)["spec"]["headGroupSpec"]["template"]["spec"]["containers"]]
        if stored != ["ray-head", "autoscaler"]:
            raise Failed(f"stored containers {stored}")
        return f"{told}; stored containers {stored}"

    def to_kuberay(_limit: float) -> str:
        pods = uids(walk, (ALONE, LATER, OURS))
        walk.script("kuberay.sh", "up")
        walk.script("install.sh", "auto")
        until(time.monotonic() + 60, lambda: (all("makes no nodes" in line for line in readiness(walk)), str(readiness(walk))))
        said = walk.hand_over("kuberay")
        same_pods(walk, pods, ROUNDS)
        for name in (ALONE, LATER, OURS):
            template = walk.one(name)["spec"]["headGroupSpec"]["template"]["spec"]
            containers = [each["name"] for each in template["containers"]]
            if containers != ["ray-head"] or "serviceAccountName" in template:
                raise Failed(f"{name}: stored containers {containers}, account {template.get('serviceAccountName')}")
        return f"{said.count('handed over to kuberay')} clusters; the same {len(pods)} Pods {ROUNDS} s later; no stored sidecar, no account of ours"

    def uninstall(_limit: float) -> str:
        before, pods = walk.stored(), uids(walk, (ALONE, LATER, OURS))
        walk.kubectl("delete", "--kustomize", str(ROOT / "deploy"), "--ignore-not-found", limit=SETUP_SECONDS)
        told = unchanged(walk, before, ROUNDS)
        same_pods(walk, pods, 0)
        return f"{told}; the same {len(pods)} Pods"

    def delete(_limit: float) -> str:
        walk.kubectl("delete", "rayclusters", "--all", "--namespace", NAMESPACE, limit=SETUP_SECONDS)
        walk.kubectl("delete", "namespace", SAMPLES, limit=SETUP_SECONDS)
        walk.script("kuberay.sh", "down")
        return "RayClusters and their Pods are gone"

    three = (ALONE, LATER, OURS)
    step("the node", SETUP_SECONDS, clear)
    step("KubeRay alone", SETUP_SECONDS, kuberay_alone)
    step("raywarden is installed", SETUP_SECONDS, install)
    step("who makes nodes", 60, who)
    step("a cluster made beside it", SETUP_SECONDS, beside)
    step("raywarden is upgraded", SETUP_SECONDS, upgrade)
    step("what the new setting is for", 10, new_default)
    step("both operators for a while", SETUP_SECONDS, minutes)
    step("both would make nodes", SETUP_SECONDS, both)
    step("peace between them", SETUP_SECONDS, peace)
    step("handover to raywarden", SETUP_SECONDS, to_raywarden)
    step("heads come back by raywarden", BACK_SECONDS, heads_back((ALONE, LATER), "raywarden"))
    step("a cluster of raywarden", SETUP_SECONDS, a_third)
    step("handover to KubeRay", SETUP_SECONDS, to_kuberay)
    step("heads come back by KubeRay", BACK_SECONDS, heads_back(three, "kuberay"))
    step("raywarden is removed", SETUP_SECONDS, uninstall)
    step("heads come back without raywarden", BACK_SECONDS, heads_back((OURS,), "kuberay"))
    step("all is deleted", SETUP_SECONDS, delete)


def remove(walk: Beside) -> None:
    walk.kubectl("delete", "--kustomize", str(ROOT / "deploy"), "--ignore-not-found", limit=SETUP_SECONDS)
    walk.script("kuberay.sh", "down")


def versions(walk: Beside) -> dict:
    items = json.loads(walk.kubectl("get", "rayclusters", "--all-namespaces", "--output", "json"))["items"]
    return {f"{each['metadata']['namespace']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in items}


def uids(walk: Beside, names: tuple) -> dict:
    return {pod["metadata"]["uid"]: pod["metadata"]["name"] for name in names for pod in walk.nodes(name)}


def same_pods(walk: Beside, before: dict, seconds: float) -> None:
    """None is lost, none is added, at any look within `seconds`."""
    until_then = time.monotonic() + seconds
    clusters = (ALONE, LATER, OURS)
    while True:
        after = uids(walk, clusters)
        if after != before:
            lost, added = before.keys() - after.keys(), after.keys() - before.keys()
            raise Failed(f"lost {[before[uid] for uid in lost]}, new {[after[uid] for uid in added]}")
        if time.monotonic() >= until_then:
            return
        time.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--manifest", required=True, type=Path, help="KubeRay's sample, beside its others")
    parser.add_argument("--image", required=True, help="what stands for the sample's image of Ray")
    parser.add_argument("--archive", required=True, type=Path, help="raywarden's image, for its program")
    parser.add_argument("--containerd", required=True, help="the address of the node's containerd")
    parser.add_argument("--watch", type=float, default=60, help="for so many seconds both operators are watched")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        walk = Beside(args, Path(scratch))
        try:
            take(walk)
        except Failed:
            print(f"{walk.passed} passed, 1 failed", flush=True)
            return 1
    print(f"{walk.passed} passed, 0 failed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
