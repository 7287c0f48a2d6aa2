#!/usr/bin/env python3
"""From `request_resources(num_cpus=4)` to four workers that have joined Ray: raywarden and KubeRay in
turns on the same node. Every raw time is kept. Expects a node with raywarden on it, as `auto`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from walkthrough import CLUSTER, GROUP_SIZE, IDENTITY, NAMESPACE, TESTS, Failed, Walk, autoscaler_is_well, head_is_ready, until, with_image

HERE = Path(__file__).resolve().parent
SWITCH_SECONDS = 120
# So many answers in a row: the replicas of the webhook look for KubeRay each by itself.
SURE = 8
TELL = "\nimport time\nprint('asked', time.time())\n"


def switch(walk: Walk, manager: str) -> None:
    """Start or end KubeRay's operator, and wait until raywarden's webhook goes by it."""
    walk.manager = manager
    subprocess.run([HERE / "kuberay.sh", "up" if manager == "kuberay" else "down"], check=True, timeout=SWITCH_SECONDS)
    wanted = 1 if manager == "kuberay" else 2
    seen = 0

    def probe() -> tuple:
        nonlocal seen
        words = ["--dry-run=server", "--output", "json", "--namespace", NAMESPACE, "--filename", "-"]
        made = walk.kubectl("create", *words, text=walk.manifest)
        cluster = json.JSONDecoder().raw_decode(made)[0]
        found = [item for item in cluster.get("items", [cluster]) if item["kind"] == "RayCluster"][0]
        containers = len(found["spec"]["headGroupSpec"]["template"]["spec"]["containers"])
        seen = seen + 1 if containers == wanted else 0
        return seen >= SURE, f"{containers} containers stored"

    until(time.monotonic() + SWITCH_SECONDS, probe)


def gone(walk: Walk) -> None:
    until(time.monotonic() + 90, lambda: (not walk.pods("head") + walk.pods("worker"), "Pods are left"))


def run(walk: Walk) -> dict:
    """One cluster, from its creation to its end; the times that matter."""
    begun = time.time()
    walk.kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", text=walk.manifest)
    head_is_ready(walk, time.monotonic() + 180)
    ready = time.time()
    autoscaler_is_well(walk, time.monotonic() + 120)
    said = walk.python((TESTS / "ray" / "walkthrough.py").read_text() + TELL)
    asked = float(said.split("asked ")[1].split()[0])
    made = joined = 0.0

    def probe() -> tuple:
        nonlocal made, joined
        if not made and len(walk.pods("worker")) == GROUP_SIZE:
            made = time.time()
        alive = len(walk.nodes_alive())
        joined = time.time()
        return alive == GROUP_SIZE, f"{alive} alive"

    until(time.monotonic() + 240, probe)
    deleted = time.time()
    walk.kubectl("delete", "--namespace", NAMESPACE, "--filename", "-", text=walk.manifest, limit=180)
    gone(walk)
    times = {"head_ready": ready - begun, "pods": made - asked, "joined": joined - asked, "gone": time.time() - deleted}
    return {name: round(seconds, 2) for name, seconds in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--manifest", required=True, type=Path, help="KubeRay's sample")
    parser.add_argument("--image", required=True, help="what stands for the sample's image of Ray")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    walk = Walk(args.kubectl, with_image(args.manifest, args.image), "raywarden")
    times: dict = {manager: [] for manager in IDENTITY}
    gone(walk)
    for turn in range(args.rounds):
        # Whoever goes first has the quieter machine as often as the other.
        order = list(IDENTITY) if turn % 2 == 0 else list(reversed(IDENTITY))
        for manager in order:
            try:
                switch(walk, manager)
                found = run(walk)
            except (Failed, subprocess.SubprocessError) as error:
                print(f"round {turn + 1}, {manager}: {error}", file=sys.stderr)
                return 1
            times[manager].append({**found, "load": round(os.getloadavg()[0], 1)})
            print(f"round {turn + 1}  {manager:9}  {found}", flush=True)
    middle = {
        manager: {name: round(statistics.median(each[name] for each in runs), 2) for name in runs[0]}
        for manager, runs in times.items()
    }
    told = {"what": __doc__.splitlines()[0], "cluster": CLUSTER, "unit": "seconds", "median": middle, "runs": times}
    args.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(middle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
