#!/usr/bin/env python3
"""The webhook's own time as the API server measures it, beside a floor that decodes and allows.

Rounds are interleaved: floor, raywarden, raywarden, floor, ... on the same API server, each with its own
mutating and validating registration, each round the same dry-run creations over one connection. The figure is
the mean of apiserver_admission_webhook_admission_duration_seconds. Nothing is judged here; the JSON is kept.
"""

import argparse
import datetime
import http.client
import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
METRIC = "apiserver_admission_webhook_admission_duration_seconds"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nobody listens on {port}")


def cluster(name):
    container = {
        "name": "ray-head",
        "image": "registry.example/ray:2.60.0",
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}},
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "rayVersion": "2.60.0",
            "enableInTreeAutoscaling": True,
            "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}},
            "workerGroupSpecs": [
                {
                    "groupName": "small",
                    "replicas": 1,
                    "minReplicas": 0,
                    "maxReplicas": 5,
                    "rayStartParams": {},
                    "template": {"spec": {"containers": [dict(container, name="ray-worker")]}},
                }
            ],
        },
    }


class Plane:
    """A control plane, and one connection of an admin to it."""

    def __init__(self):
        command = [sys.executable, str(ROOT / "tests/controlplane/up.py"), "--crd=kuberay"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the control plane did not come up")
        self.told = json.loads(line)
        host, port = self.told["server"].removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=self.told["ca"])
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.told['tokens']['admin']}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def kubectl(self, *arguments, stdin=""):
        command = [self.told["kubectl"], "--kubeconfig", self.told["kubeconfig"], *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=60)
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}: {done.stderr}")

    def measured(self):
        """Sum and count of the webhook metric by (server, type)."""
        _, text = self.call("GET", "/metrics")
        found = {}
        pattern = METRIC + r'_(sum|count)\{([^}]*)\} ([0-9.e+-]+)'
        for part, labels, value in re.findall(pattern, text.decode()):
            server = "raywarden" if "raywarden" in labels else "floor" if "floor" in labels else None
            if server and 'operation="CREATE"' in labels:
                kind = re.search(r'type="(\w+)"', labels).group(1)
                entry = found.setdefault((server, kind), [0.0, 0.0])
                entry[part == "count"] += float(value)
        return found

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def floor_manifests(raywarden_yaml):
    return raywarden_yaml.replace("raywarden.io", "floor.example").replace("name: raywarden", "name: floor")


def creations(plane, calls):
    path = "/apis/ray.io/v1/namespaces/default/rayclusters?dryRun=All"
    for index in range(calls):
        status, body = plane.call("POST", path, cluster(f"bench-{index}"))
        if status != 201:
            sys.exit(f"{status}: {body[:300]}")


def one_round(plane, manifests, calls):
    plane.kubectl("apply", "-f", "-", stdin=manifests)
    time.sleep(2)  # until the API server has taken the registration up
    creations(plane, 20)
    before = plane.measured()
    creations(plane, calls)
    after = plane.measured()
    plane.kubectl("delete", "-f", "-", stdin=manifests)
    time.sleep(1)
    figures = {}
    for key, (total, count) in after.items():
        earlier = before.get(key, [0.0, 0.0])
        if count > earlier[1]:
            figures[key[1]] = round((total - earlier[0]) / (count - earlier[1]) * 1e6, 1)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    binary = str(pathlib.Path(options.bin).resolve())

    with tempfile.TemporaryDirectory() as work:
        floor = f"{work}/floor"
        subprocess.run(["go", "build", "-o", floor, "."], cwd=ROOT / "tests/tools/floor", check=True)
        plane = Plane()
        processes = []
        try:
            port, floor_port = free_port(), free_port()
            serve = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--dev-cert-dir", work]
            serve += ["--node-manager", "raywarden", "--shutdown-delay", "0s"]
            processes.append(subprocess.Popen(serve, stderr=subprocess.DEVNULL))
            wait_for_port(port)
            pair = [f"{work}/tls.crt", f"{work}/tls.key"]
            processes.append(subprocess.Popen([floor, f"127.0.0.1:{floor_port}", *pair]))
            wait_for_port(floor_port)

            def manifests(at):
                generate = [binary, "generate", "manifests", "--url", f"https://127.0.0.1:{at}"]
                return subprocess.check_output([*generate, "--ca-file", f"{work}/ca.crt"], text=True)

            sides = {"raywarden": manifests(port), "floor": floor_manifests(manifests(floor_port))}
            rounds = {"floor": [], "raywarden": []}
            for number in range(options.rounds):
                order = ["floor", "raywarden"] if number % 2 == 0 else ["raywarden", "floor"]
                for side in order:
                    figures = one_round(plane, sides[side], options.calls)
                    rounds[side].append(figures)
                    print(f"round {number + 1}: {side:9} {figures}", flush=True)
            rss = resident(processes[0].pid)
        finally:
            for process in processes:
                process.terminate()
                process.wait(timeout=20)
            plane.stop()

    def mean(side):
        figures = [value for each in rounds[side] for value in each.values()]
        return round(sum(figures) / len(figures), 1)

    result = {
        "date": datetime.date.today().isoformat(),
        "what": "mean of " + METRIC + " in microseconds, CREATE, dry run, one client",
        "calls_a_round": options.calls,
        "rounds": rounds,
        "mean": {side: mean(side) for side in rounds},
        "ratio": round(mean("raywarden") / mean("floor"), 3),
        "serve_resident_mib": rss,
    }
    pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in ("mean", "ratio", "serve_resident_mib")}))


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024, 1)


if __name__ == "__main__":
    main()
