#!/usr/bin/env python3
"""What `raywarden audit` costs: thousands of stored RayClusters on a real API server, judged from outside.

Wall time is the process's own from start to end, API server included; resident memory is the kernel's VmHWM of that
process. Then a controller audits the same clusters: every cluster gets a status write, and all writes to reports in
the audit after that are counted. Two claims are held, and the bench fails where they are not: a full audit within
SECONDS and MIB, and not a single write in the second audit.
"""

import argparse
import datetime
import http.client
import json
import os
import pathlib
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from admission import ROOT, Plane, cluster, free_port, wait_for_port
from controller import METADATA, NAMESPACES, OVER, Api, counters, grown, memory

SECONDS, MIB = 30, 64
CREATORS = 4
REPORTS = ("rayclusterreports", "policyreports", "reports")
CLUSTERS = "/apis/ray.io/v1/rayclusters"
MERGE = "application/merge-patch+json"


def body(number):
    """A cluster of three groups about as large as real ones; every tenth has something to refuse, every fifth to warn of."""
    made = cluster(f"bench-{number}", True)
    made["metadata"]["namespace"] = NAMESPACES[number % len(NAMESPACES)]
    made["metadata"]["labels"] = {"app.kubernetes.io/part-of": "bench", "team": NAMESPACES[number % len(NAMESPACES)]}
    spec = made["spec"]
    template = spec["workerGroupSpecs"][0]["template"]["spec"]
    container = template["containers"][0]
    container["env"] = [{"name": f"VARIABLE_{index}", "value": f"value-{index}" * 3} for index in range(12)]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/scratch"}]
    template["volumes"] = [{"name": "data", "emptyDir": {}}, {"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}}]
    template["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    group = spec["workerGroupSpecs"][0]
    spec["workerGroupSpecs"] = [dict(group, groupName=name) for name in ("small", "medium", "large")]
    if number % 10 == 0:
        spec["workerGroupSpecs"][1].update(minReplicas=4, replicas=4, maxReplicas=2)
    if number % 5 == 1:
        spec["workerGroupSpecs"][2].pop("maxReplicas")
    return made


def status(number):
    """What a node manager writes."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "HeadPodReady", "status": "True", "reason": "HeadPodRunningAndReady", "message": "", "lastTransitionTime": now}
    return {"status": {"state": "ready", "availableWorkerReplicas": number % 7, "desiredCPU": "4", "conditions": [condition]}}


def on_each(told, count, work):
    """`work(api, number)` for every cluster, by several threads."""
    numbers = queue.SimpleQueue()
    for number in range(count):
        numbers.put(number)

    def run():
        api = Api(told)
        try:
            while True:
                work(api, numbers.get_nowait())
        except queue.Empty:
            return
        except BaseException as error:
            print(f"a thread of the bench failed: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)

    threads = [threading.Thread(target=run) for _ in range(CREATORS)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(time.monotonic() - begin, 1)


def path_of(number):
    return f"/apis/ray.io/v1/namespaces/{NAMESPACES[number % len(NAMESPACES)]}/rayclusters"


def measured(command, out):
    """Seconds, the most MiB by VmHWM, exit status."""
    begin = time.perf_counter()
    with open(out, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)
        most = 0.0
        while process.poll() is None:
            try:
                most = max(most, memory(process.pid, "VmHWM"))
            except (AttributeError, FileNotFoundError, ProcessLookupError):
                pass  # it has just ended
            time.sleep(0.003)
        seconds = time.perf_counter() - begin
    said = process.stderr.read().decode()
    return round(seconds, 2), most, process.returncode, said


CEILING = """
apiVersion: raywarden.io/v1alpha1
kind: RayClusterPolicy
metadata: {name: share}
spec: {enforcement: deny, ceilings: {perCluster: {pods: 1}, perNamespace: {pods: 100, enforcement: warn}}}
"""

POLICY = """
apiVersion: raywarden.io/v1alpha1
kind: RayClusterPolicy
metadata: {name: cost}
spec:
  enforcement: deny
  labels: {required: [{key: cost-centre}, {key: owner, onPods: true}]}
"""


def audits(options, told, work):
    """The command in its forms, several rounds of each."""
    policy = pathlib.Path(f"{work}/policy.yaml")
    policy.write_text(POLICY, encoding="utf-8")
    ceiling = pathlib.Path(f"{work}/ceiling.yaml")
    ceiling.write_text(CEILING, encoding="utf-8")
    forms = {form: ["--output", form] for form in ("table", "json", "sarif", "junit")}
    forms["json, a policy that every cluster breaks"] = ["--output", "json", "--policy", str(policy)]
    forms["json, ceilings of clusters and namespaces that all break"] = ["--output", "json", "--policy", str(ceiling)]
    found = {}
    for form, flags in forms.items():
        out = f"{work}/audit.{form.split(',')[-1]}"
        command = [options.bin, "audit", "--kubeconfig", told["kubeconfig"], *flags]
        rounds = [measured(command, out) for _ in range(options.rounds)]
        if {code for _, _, code, _ in rounds} != {1}:
            sys.exit(f"audit {flags}: {rounds}")
        found[form] = {
            "seconds": [seconds for seconds, *_ in rounds],
            "mib": [mib for _, mib, *_ in rounds],
            "median_seconds": round(statistics.median(seconds for seconds, *_ in rounds), 2),
            "most_mib": max(mib for _, mib, *_ in rounds),
            "bytes": os.path.getsize(out),
        }
        print(f"audit, {form}: {found[form]}", flush=True)
    last = pathlib.Path(f"{work}/audit.table").read_text(encoding="utf-8").splitlines()[-1]
    entries = json.loads(pathlib.Path(f"{work}/audit.json").read_text(encoding="utf-8"))
    if len(entries) != options.clusters or not last.startswith(f"{options.clusters} objects:"):
        sys.exit(f"not every cluster was judged: {len(entries)} entries, {last}")
    found["last_line"] = last
    return found


class Controller:
    """A controller that audits, beside KubeRay: it makes no nodes."""

    def __init__(self, options, told, log):
        self.port = free_port()
        command = [options.bin, "controller", "--node-manager", "kuberay", "--kubeconfig", told["users"]["argo"]]
        command += ["--lease-namespace", "default", "--ops-listen", f"127.0.0.1:{self.port}"]
        command += ["--audit-interval", f"{options.interval}s"]
        self.log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for_port(self.port)

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return sum(float(value) for value in re.findall(rf"^raywarden_controller_{name}(?:\{{[^}}]*\}})? (\S+)", text, re.M))

    def until_audits(self, count, seconds=900):
        """Until so many full audits are over."""
        end = time.monotonic() + seconds
        while self.metric("audits_total") < count:
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"no {count} audits in {seconds} s")
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def written(api):
    """Writes to reports so far."""
    return {name: count for name, count in counters(api).items() if name.split()[1].split("/")[0] in REPORTS}


def settled(api, still=15, seconds=1800):
    """Until no report was written for a while: the writes so far."""
    before, since, end = written(api), time.monotonic(), time.monotonic() + seconds
    while time.monotonic() - since < still:
        time.sleep(1)
        now = written(api)
        if now != before:
            before, since = now, time.monotonic()
        if time.monotonic() > end:
            sys.exit(f"reports are still written after {seconds} s")
    return before


def controlled(options, told, log):
    """The controller's audits: the first one, then one after a status write on every cluster."""
    api = Api(told)
    controller = Controller(options, told, log)
    try:
        controller.until_audits(1)
        first = settled(api)
        figures = {"first_audit_writes": {name: int(count) for name, count in first.items()}}
        before = counters(Api(told))
        figures["status_writes_took_seconds"] = on_each(told, options.clusters, write_status)
        done = controller.metric("audits_total")
        # The audit that is on its way may have begun before the last status write.
        controller.until_audits(done + 2)
        time.sleep(5)
        grew = grown(counters(Api(told)), before)
        figures["status_writes"] = grew.get("PATCH rayclusters/status", 0)
        figures["second_audit_writes"] = {name: count for name, count in grew.items() if name.split()[1].split("/")[0] in REPORTS}
        figures["clusters_judged"] = int(controller.metric("audit_objects"))
        figures["audit_seconds"] = controller.metric("audit_duration_seconds")
        figures["resident_mib"] = {"now": memory(controller.process.pid, "VmRSS"), "most": memory(controller.process.pid, "VmHWM")}
        return figures
    finally:
        controller.stop()


def write_status(api, number):
    api.call("PATCH", f"{path_of(number)}/bench-{number}/status", status(number), MERGE, METADATA)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=int, default=20, metavar="SECONDS", help="between audits of the controller")
    parser.add_argument("--only", choices=["command", "controller"], help="one half alone; the JSON is not kept then")
    parser.add_argument("--note", default="", metavar="TEXT", help="what else is to be known of the machine")
    parser.add_argument("--log", metavar="FILE", help="where the controller's log goes")
    options = parser.parse_args()
    options.bin = str(pathlib.Path(options.bin).resolve())
    result = {
        "date": datetime.date.today().isoformat(),
        "what": f"{options.clusters} stored RayClusters of a head and three groups in {len(NAMESPACES)} namespaces; API server, "
        f"etcd and the process that audits on {os.cpu_count()} cores",
        "note": options.note,
        "load_before": round(os.getloadavg()[0], 2),
    }
    plane = Plane()
    told = plane.told
    try:
        api = Api(told)
        for namespace in NAMESPACES:
            api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        api.call("POST", definitions, (ROOT / "deploy/crd/rayclusterreport.yaml").read_bytes(), "application/yaml")
        create = lambda api, number: api.call("POST", path_of(number), body(number), accept=METADATA)
        result["created_in_seconds"] = on_each(told, options.clusters, create)
        # A connection of its own: the API server closes one that was idle for minutes.
        page = Api(told).call("GET", f"{CLUSTERS}?limit=100")
        result["bytes_per_cluster"] = len(page) // 100
        print(f"created in {result['created_in_seconds']} s, {result['bytes_per_cluster']} bytes each", flush=True)
        with tempfile.TemporaryDirectory() as work:
            if options.only != "controller":
                result["command"] = audits(options, told, work)
            if options.only != "command":
                result["controller"] = controlled(options, told, options.log or f"{work}/controller.log")
                print(f"controller: {result['controller']}", flush=True)
    finally:
        OVER.set()
        plane.stop()
    result["load_after"] = round(os.getloadavg()[0], 2)
    if not options.only:
        pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    judge(result)


def judge(result):
    faults = []
    for form, figures in result.get("command", {}).items():
        if form != "last_line" and (figures["median_seconds"] >= SECONDS or figures["most_mib"] >= MIB):
            faults.append(f"audit --output {form}: {figures['median_seconds']} s, {figures['most_mib']} MiB")
    if result.get("controller", {}).get("second_audit_writes"):
        faults.append(f"the second audit wrote: {result['controller']['second_audit_writes']}")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
