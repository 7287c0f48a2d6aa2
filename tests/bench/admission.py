#!/usr/bin/env python3
"""The webhook's own time as the API server measures it, beside a floor that decodes and allows.

Rounds are interleaved: floor, raywarden, raywarden, floor, ... on the same API server, each with its own
mutating and validating registration, each round the same dry-run creations over one connection. The figure is
the mean of apiserver_admission_webhook_admission_duration_seconds. Two scenarios: a cluster that needs no patch,
and one that gets the sidecar; there the floor answers with the very same patch, because the API server's own work
of applying it is part of the figure. Nothing is judged here; the JSON is kept.
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


def cluster(name, autoscaling):
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
            "enableInTreeAutoscaling": autoscaling,
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

    def __init__(self, crd="kuberay"):
        command = [sys.executable, str(ROOT / "tests/controlplane/up.py"), f"--crd={crd}"]
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


def creations(plane, calls, autoscaling):
    path = "/apis/ray.io/v1/namespaces/default/rayclusters?dryRun=All"
    for index in range(calls):
        status, body = plane.call("POST", path, cluster(f"bench-{index % 10}", autoscaling))
        if status != 201:
            sys.exit(f"{status}: {body[:300]}")


def one_round(plane, manifests, calls, autoscaling):
    plane.kubectl("apply", "-f", "-", stdin=manifests)
    time.sleep(2)  # until the API server has taken the registration up
    creations(plane, 20, autoscaling)
    before = plane.measured()
    creations(plane, calls, autoscaling)
    after = plane.measured()
    plane.kubectl("delete", "-f", "-", stdin=manifests)
    time.sleep(1)
    figures = {}
    for key, (total, count) in after.items():
        earlier = before.get(key, [0.0, 0.0])
        if count > earlier[1]:
            figures[key[1]] = round((total - earlier[0]) / (count - earlier[1]) * 1e6, 1)
    return figures


def sidecar_patch(port, work):
    """The patch that raywarden gives the benchmark's cluster, as base64."""
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "ray.io", "version": "v1", "kind": "RayCluster"},
            "operation": "CREATE",
            "object": cluster("bench-0", True),
        },
    }
    context = ssl.create_default_context(cafile=f"{work}/ca.crt")
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    connection.request("POST", "/mutate", json.dumps(review), {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())["response"]["patch"]


class Bench:
    """Both webhooks beside one API server."""

    def __init__(self, binary, work):
        self.binary, self.work, self.processes = binary, work, []
        self.floor = f"{work}/floor"
        subprocess.run(["go", "build", "-o", self.floor, "."], cwd=ROOT / "tests/tools/floor", check=True)
        self.plane = Plane()

    def start(self, command, port):
        self.processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        wait_for_port(port)

    def manifests(self, port):
        generate = [self.binary, "generate", "manifests", "--url", f"https://127.0.0.1:{port}"]
        return subprocess.check_output([*generate, "--ca-file", f"{self.work}/ca.crt"], text=True)

    def run(self, rounds, calls):
        port = free_port()
        serve = [self.binary, "serve", "--listen", f"127.0.0.1:{port}", "--dev-cert-dir", self.work]
        self.start([*serve, "--node-manager", "raywarden", "--shutdown-delay", "0s"], port)
        pair = [f"{self.work}/tls.crt", f"{self.work}/tls.key"]
        patch = pathlib.Path(self.work) / "patch"
        patch.write_text(sidecar_patch(port, self.work), encoding="utf-8")
        scenarios = {}
        for name, autoscaling, more in (("no patch", False, []), ("sidecar", True, [str(patch)])):
            floor_port = free_port()
            self.start([self.floor, f"127.0.0.1:{floor_port}", *pair, *more], floor_port)
            sides = {"raywarden": self.manifests(port), "floor": floor_manifests(self.manifests(floor_port))}
            scenarios[name] = self.scenario(name, sides, rounds, calls, autoscaling)
        return scenarios, resident(self.processes[0].pid)

    def scenario(self, name, sides, rounds, calls, autoscaling):
        figures = {"floor": [], "raywarden": []}
        for number in range(rounds):
            order = ["floor", "raywarden"] if number % 2 == 0 else ["raywarden", "floor"]
            for side in order:
                figures[side].append(one_round(self.plane, sides[side], calls, autoscaling))
                print(f"{name}, round {number + 1}: {side:9} {figures[side][-1]}", flush=True)
        means = {side: mean(figures[side]) for side in figures}
        return {"rounds": figures, "mean": means, "ratio": round(means["raywarden"] / means["floor"], 3)}

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(timeout=20)
        self.plane.stop()


def mean(rounds):
    figures = [value for each in rounds for value in each.values()]
    return round(sum(figures) / len(figures), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(str(pathlib.Path(options.bin).resolve()), work)
        try:
            scenarios, rss = bench.run(options.rounds, options.calls)
        finally:
            bench.stop()
    result = {
        "date": datetime.date.today().isoformat(),
        "what": "mean of " + METRIC + " in microseconds, CREATE, dry run, one client",
        "calls_a_round": options.calls,
        "scenarios": scenarios,
        "serve_resident_mib": rss,
    }
    pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, scenario in scenarios.items():
        print(f"{name}: {scenario['mean']} ratio {scenario['ratio']}")
    print(f"serve, resident: {rss} MiB")


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024, 1)


if __name__ == "__main__":
    main()
