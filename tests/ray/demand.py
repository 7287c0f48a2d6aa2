#!/usr/bin/env python3
"""Demand for Ray nodes, as a user's program states it. Runs with the Python of Ray's environment.

    demand.py request GCS CPUS    ask for CPUS at the head whose GCS is at HOST:PORT
    demand.py clear GCS           ask for nothing any more
    demand.py actor GCS CPUS      make an actor that takes CPUS and outlives the program
    demand.py nodes DASHBOARD     print a JSON list of ALIVE nodes

The first three make a driver of the program, which only works on a node of the cluster: run it inside
the head's sandbox (`nsenter --target PID --mount --pid`), as one would with `kubectl exec`.
"""

import json
import sys
import urllib.request


def main() -> int:
    """Do one of the four."""
    mode, address = sys.argv[1], sys.argv[2]
    if mode == "nodes":
        print(json.dumps(alive(address)))
        return 0

    # Not above: listing nodes needs no Ray.
    import ray
    import ray.autoscaler.sdk

    ray.init(address, logging_level="ERROR")
    if mode == "request":
        ray.autoscaler.sdk.request_resources(num_cpus=int(sys.argv[3]))
    elif mode == "clear":
        ray.autoscaler.sdk.request_resources(bundles=[])
    elif mode == "actor":
        ray.remote(Actor).options(num_cpus=int(sys.argv[3]), lifetime="detached").remote()
    else:
        print(__doc__, file=sys.stderr)
        return 2
    ray.shutdown()
    return 0


class Actor:
    """Takes its CPUs and does nothing."""


def alive(dashboard: str) -> "list[dict[str, object]]":
    """What the GCS knows now, dead nodes left out."""
    url = f"http://{dashboard}/api/v0/nodes?limit=1000"
    with urllib.request.urlopen(url, timeout=5) as response:
        nodes = json.load(response)["data"]["result"]["result"]
    return [node for node in nodes if node["state"] == "ALIVE"]


if __name__ == "__main__":
    sys.exit(main())
