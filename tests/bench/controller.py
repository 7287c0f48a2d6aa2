#!/usr/bin/env python3
"""What `raywarden controller` costs on a real API server: a thousand clusters at once, then peace, then one more worker.

Creators, the stand-in for kubelets, API server, etcd and controller share the machine. Counts are the API server's own
(apiserver_request_total); a watch counts the new versions of RayClusters beside them, so that a PATCH without a change
shows. Nothing is judged here; the JSON is kept.
"""

import argparse
import collections
import datetime
import http.client
import json
import os
import pathlib
import queue
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from admission import ROOT, Plane, cluster, free_port, wait_for_port

WORKERS = 3
NAMESPACES = [f"team-{number}" for number in range(10)]
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")
# Answered and never stored.
REVIEWS = ("selfsubjectaccessreviews", "subjectaccessreviews", "tokenreviews")
REPORT = "rayclusterreports"
REPORTS = f"/apis/raywarden.io/v1alpha1/{REPORT}"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
OVER = threading.Event()
TICKS = os.sysconf("SC_CLK_TCK")


class Api:
    """One connection of an admin, for one thread."""

    def __init__(self, told):
        self.told = told
        host, port = told["server"].removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=told["ca"])
        self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {told['tokens']['admin']}"}

    def call(self, method, path, body=None, kind="application/json", accept="application/json"):
        headers = {**self.headers, "Content-Type": kind, "Accept": accept}
        body = body if body is None or isinstance(body, bytes) else json.dumps(body)
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]}")
        return data

    def watch(self, path, each):
        """Hands every line over; goes on where the API server cut off a watcher that was too slow."""
        version = json.loads(self.call("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
        while True:
            connection = Api(self.told).connection
            connection.timeout = None
            query = f"?watch=1&timeoutSeconds=7200&resourceVersion={version}"
            connection.request("GET", path + query, headers={**self.headers, "Accept": METADATA})
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"watch {path}: {answer.status} {answer.read()[:300]}")
            while line := answer.readline():
                if line.startswith(b'{"type":"ERROR"'):
                    raise RuntimeError(f"watch {path}: {line[:300]}")
                each(line)
                version = VERSION.search(line).group(1).decode()


class Kubelets:
    """Runs every Pod as soon as it is there, and remembers when it came."""

    def __init__(self, told, threads):
        self.todo, self.came, self.marked = queue.SimpleQueue(), {}, 0
        self.news = threading.Condition()
        self.told = told
        in_background(lambda: Api(told).watch("/api/v1/pods", self.see))
        for _ in range(threads):
            in_background(self.mark)

    def see(self, line):
        if not line.startswith(b'{"type":"ADDED"'):
            return
        metadata = json.loads(line)["object"]["metadata"]
        key = (metadata["namespace"], metadata["labels"]["ray.io/cluster"], metadata["name"])
        with self.news:
            self.came[key] = time.monotonic()
            self.todo.put((len(self.came), key))
            self.news.notify_all()

    def mark(self):
        api = Api(self.told)
        while True:
            number, (namespace, _, name) = self.todo.get()
            head = "-head-" in name
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            names = ["ray-head", "autoscaler"] if head else ["ray-worker"]
            state = {"running": {"startedAt": now}}
            more = {"ready": True, "restartCount": 0, "image": "i", "imageID": "i", "state": state}
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            # Nobody listens there: dashboards refuse at once.
            address = f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            status = {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now}, ready],
                "containerStatuses": [{"name": name, **more} for name in names],
            }
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
            api.call("PATCH", path, {"status": status}, "application/merge-patch+json", METADATA)
            with self.news:
                self.marked += 1
                self.news.notify_all()

    def wait(self, what, seconds=600):
        with self.news:
            if not self.news.wait_for(what, seconds):
                sys.exit(f"not in {seconds} s: {len(self.came)} Pods, {self.marked} of them run")


class Versions:
    """How many new versions of a kind the API server has shown."""

    def __init__(self, told, path):
        self.count, self.last = 0, time.monotonic()
        in_background(lambda: Api(told).watch(path, self.see))

    def see(self, line):
        if line.startswith(b'{"type":"MODIFIED"'):
            self.count += 1
        self.last = time.monotonic()


def in_background(work):
    def run():
        try:
            work()
        except BaseException as error:  # a bench that goes on without its kubelets measures nothing
            if OVER.is_set():
                return
            print(f"a thread of the bench failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()


def counters(api):
    """Writes that were answered well: count by (verb, resource)."""
    found = collections.Counter()
    # A connection of its own: the API server closes one that was idle for minutes.
    text = Api(api.told).call("GET", "/metrics", accept="text/plain").decode()
    for labels, value in re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)", text, re.M):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        resource = "/".join(filter(None, (label["resource"], label["subresource"])))
        if label["verb"] in WRITES:
            good = label["code"].startswith("2")
            name = f"{label['verb']} {resource}" + ("" if good else f" ({label['code']})")
            found[name] += float(value)
    return found


def grown(after, before):
    return {name: int(count - before[name]) for name, count in sorted(after.items()) if count > before[name]}


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(re.search(key + r":\s+(\d+)", text).group(1)) / 1024, 1)


class Bench:
    """The control plane, the controller, and who stands around them."""

    def __init__(self, options, work):
        self.options, self.plane = options, Plane()
        told = self.told = self.plane.told
        self.api = Api(told)
        for namespace in NAMESPACES:
            self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            # Nobody else makes it here, and Pods need it.
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
            self.api.call("POST", path, {"metadata": {"name": "default"}})
        self.define((ROOT / "deploy/crd/rayclusterreport.yaml").read_bytes())
        port = free_port()
        command = [str(pathlib.Path(options.bin).resolve()), "controller", "--node-manager", "raywarden"]
        command += ["--kubeconfig", told["users"]["argo"], "--lease-namespace", "default"]
        command += ["--ops-listen", f"127.0.0.1:{port}"]
        self.log = open(options.log or f"{work}/controller.log", "w", encoding="utf-8")
        self.controller = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for_port(port)
        self.kubelets = Kubelets(told, options.kubelets)
        self.versions = Versions(told, "/apis/ray.io/v1/rayclusters")
        self.reports = Versions(told, REPORTS)
        self.pids = {"controller": self.controller.pid, **told["pids"]}
        self.until_ready(port)

    def define(self, crd):
        """Installs a CRD given as YAML, and waits until it is served."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.api.call("POST", path, crd, "application/yaml")
        for _ in range(100):
            try:
                return self.api.call("GET", REPORTS)
            except RuntimeError:
                time.sleep(0.1)
        return sys.exit("the CRD of reports is not served")

    def until_ready(self, port):
        for _ in range(300):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz?verbose")
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == 200 and "another replica" not in text:
                return
            time.sleep(0.1)
        sys.exit(f"the controller is not ready: {text}")

    def cpu(self):
        return {name: cpu(pid) for name, pid in self.pids.items()} | {"the bench itself": time.process_time()}

    def spent(self, before):
        return {name: round(value - before[name], 2) for name, value in self.cpu().items()}

    def resident(self):
        pid = self.controller.pid
        return {"now_mib": memory(pid, "VmRSS"), "most_mib": memory(pid, "VmHWM")}

    def create(self, numbers):
        api = Api(self.told)
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            namespace = NAMESPACES[number % len(NAMESPACES)]
            body = cluster(f"bench-{number}", True)
            body["metadata"]["namespace"] = namespace
            body["spec"]["workerGroupSpecs"][0].update(replicas=WORKERS, maxReplicas=WORKERS + 2)
            api.call("POST", f"/apis/ray.io/v1/namespaces/{namespace}/rayclusters", body, accept=METADATA)

    def settle(self):
        """Until nothing was written to a RayCluster for a while, nor to a report."""
        while time.monotonic() - self.versions.last < 8 or time.monotonic() - self.reports.last < 30:
            time.sleep(0.5)

    def storm(self):
        wanted = self.options.clusters * (1 + WORKERS)
        numbers = queue.SimpleQueue()
        for number in range(self.options.clusters):
            numbers.put(number)
        before, spent, versions = counters(self.api), self.cpu(), self.versions.count
        begin = time.monotonic()
        creators = [threading.Thread(target=self.create, args=[numbers]) for _ in range(4)]
        for creator in creators:
            creator.start()
        for creator in creators:
            creator.join()
        applied = time.monotonic() - begin
        self.kubelets.wait(lambda: len(self.kubelets.came) >= wanted)
        seconds = max(self.kubelets.came.values()) - begin
        until_pods = self.spent(spent)
        self.kubelets.wait(lambda: self.kubelets.marked >= wanted)
        self.settle()
        quiet = self.versions.last - begin
        writes = grown(counters(self.api), before)
        versions = self.versions.count - versions
        return {
            "clusters": self.options.clusters,
            "pods": len(self.kubelets.came),
            "clusters_applied_after_seconds": round(applied, 2),
            "seconds": round(seconds, 2),
            "pods_per_second": round(wanted / seconds, 1),
            "cpu_ms_per_pod_of_all_together": round(1000 * sum(until_pods.values()) / wanted, 1),
            "load_in_the_end": round(os.getloadavg()[0], 2),
            "last_status_after_seconds": round(quiet, 2),
            "cpu_seconds_until_all_pods": until_pods,
            "cpu_seconds_until_quiet": self.spent(spent),
            "resident": self.resident(),
            "writes": writes,
            "per_cluster": {
                "creates": round(of(writes, "POST ", ("events", "rayclusters", REPORT)) / self.options.clusters, 2),
                "status": round(writes.get("PATCH rayclusters/status", 0) / self.options.clusters, 2),
                "events": round(of(writes, "", but="events", only=True) / self.options.clusters, 2),
                "reports": round(of(writes, "", but=REPORT, only=True) / self.options.clusters, 2),
            },
            "patches_without_a_change": patches(writes) - versions,
            "ready": self.ready(),
        }

    def ready(self):
        items = json.loads(self.api.call("GET", "/apis/ray.io/v1/rayclusters"))["items"]
        return sum(item.get("status", {}).get("state") == "ready" for item in items)

    def scale(self, number):
        """Milliseconds from the call to the new worker, as a watch shows it."""
        namespace, name = NAMESPACES[number % len(NAMESPACES)], f"bench-{number}"
        path = f"/apis/ray.io/v1/namespaces/{namespace}/rayclusters/{name}"
        patch = [{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": WORKERS + 1}]
        known = set(self.kubelets.came)
        new = lambda: [at for key, at in self.kubelets.came.items() if key not in known and key[1] == name]
        begin = time.monotonic()
        self.api.call("PATCH", path, patch, "application/json-patch+json", METADATA)
        self.kubelets.wait(new, 30)
        return round((new()[0] - begin) * 1000, 1)

    def latency(self):
        step = max(self.options.clusters // 30, 1)
        samples = []
        for number in range(30):
            samples.append(self.scale(number * step))
            time.sleep(0.3)
        return {
            "samples_ms": samples,
            "median_ms": round(statistics.median(samples), 1),
            "p90_ms": round(statistics.quantiles(samples, n=10)[-1], 1),
        }

    def steady(self, seconds):
        before, spent, versions = counters(self.api), self.cpu(), self.versions.count
        begin = time.monotonic()
        time.sleep(seconds)
        seconds = time.monotonic() - begin
        after = self.spent(spent)
        writes = grown(counters(self.api), before)
        apart = {name: writes.pop(name) for name in list(writes) if name.split()[1] in ("leases", *REVIEWS)}
        return {
            "seconds": round(seconds),
            "writes": writes,
            "leases_and_reviews": apart,
            "new_versions_of_rayclusters": self.versions.count - versions,
            "reports_there": len(json.loads(Api(self.told).call("GET", REPORTS))["items"]),
            "cpu_seconds": after,
            "controller_percent_of_a_core": round(100 * after["controller"] / seconds, 3),
            "resident": self.resident(),
        }

    def stop(self):
        OVER.set()
        self.controller.terminate()
        self.controller.wait(timeout=20)
        self.plane.stop()


def of(writes, verb, without=(), but=None, only=False):
    """The sum of the writes of a verb that were answered well."""
    good = {name: count for name, count in writes.items() if name.startswith(verb) and "(" not in name}
    if only:
        return sum(count for name, count in good.items() if name.split()[1] == but)
    return sum(count for name, count in good.items() if name.split()[1] not in without)


def patches(writes):
    return sum(writes.get(f"PATCH {name}", 0) for name in ("rayclusters", "rayclusters/status"))


def show(title, figures):
    print(title)
    for key, value in figures.items():
        print(f"  {key}: {value}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--steady", type=int, default=600, metavar="SECONDS")
    parser.add_argument("--kubelets", type=int, default=4, metavar="THREADS")
    parser.add_argument("--note", default="", metavar="TEXT", help="what else is to be known of the machine")
    parser.add_argument("--log", metavar="FILE", help="where the controller's log goes")
    options = parser.parse_args()
    sys.setswitchinterval(0.001)  # the watches are not to wait for the threads that write
    load = os.getloadavg()[0]
    result = {
        "date": datetime.date.today().isoformat(),
        "what": f"{options.clusters} RayClusters of a head and {WORKERS} workers, autoscaling on, "
        f"{len(NAMESPACES)} namespaces; API server, etcd, controller, creators and the stand-in for kubelets on "
        f"{os.cpu_count()} cores",
        "note": options.note,
        "load_before": round(load, 2),
    }
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options, work)
        try:
            result["storm"] = bench.storm()
            show("all at once", result["storm"])
            result["scale"] = bench.latency()
            show("one more worker", result["scale"])
            bench.settle()
            result["steady"] = bench.steady(options.steady)
            show("in peace", result["steady"])
        finally:
            bench.stop()
    result["load_after"] = round(os.getloadavg()[0], 2)
    pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
