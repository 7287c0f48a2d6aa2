"""The target `native` of api.py: clusters of KubeRay's kind, and `raywarden api` for callers with a token of Kubernetes, with
its own account and its own limits.

A caller has an address and an account of its own. Nothing runs in the clusters: every answer lists their Pods all the same.
"""

import json
import pathlib
import subprocess

from admission import ROOT, free_port, wait_for_port
from domino import write_kubeconfig

SPACE, PEOPLE, SYSTEM = "bench", "people", "raywarden-system"
RESOURCE = f"/apis/ray.io/v1/namespaces/{SPACE}/rayclusters"
ROUTE = f"/api/v1/namespaces/{SPACE}/rayclusters/"
USERS, CLUSTERS = 50, 100
CONTENDED, MOST = "contended", 200
GROUP = "pool"


class Native:
    """The API and what it needs; `close` ends what was started here."""

    crd = "kuberay"
    collection = RESOURCE
    contended = CONTENDED

    def __init__(self, binary, plane, work):
        self.plane, self.work = plane, pathlib.Path(work)
        for namespace in (SPACE, PEOPLE, SYSTEM):
            plane.kubectl("create", "namespace", namespace)
        plane.kubectl("apply", "-k", str(ROOT / "deploy/api"))
        plane.kubectl("create", "role", "scaler", "-n", SPACE, "--verb=get,list,patch", "--resource=rayclusters.ray.io")
        group = f"--group=system:serviceaccounts:{PEOPLE}"
        plane.kubectl("create", "rolebinding", "scaler", "-n", SPACE, "--role=scaler", group)
        self.tokens = [self.token(number) for number in range(USERS)]
        for number in range(CLUSTERS):
            self.create(f"ray-{number:03d}", 20)
        self.create(CONTENDED, MOST)
        self.port = free_port()
        command = [binary, "api", "--api-plain-http", "--api-listen", f"127.0.0.1:{self.port}"]
        command += ["--ops-listen", "127.0.0.1:0", "--log-format", "json", "--shutdown-delay", "0s"]
        command += ["--kubeconfig", str(write_kubeconfig(plane, self.work, SYSTEM))]
        # 200 calls a second of one caller would be turned away; in the contended part 50 make all of them.
        command += ["--rate", "0"]
        with open(self.work / "api.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stderr=log)
        wait_for_port(self.port)

    def token(self, number):
        accounts, name = f"/api/v1/namespaces/{PEOPLE}/serviceaccounts", f"user-{number}"
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        self.must(self.plane.call("POST", accounts, account), name)
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["raywarden"]}}
        return json.loads(self.must(self.plane.call("POST", f"{accounts}/{name}/token", asked), name))["status"]["token"]

    def create(self, name, most):
        limits = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
        node = lambda container: {
            "rayStartParams": {},
            "template": {"spec": {"containers": [{"name": container, "image": "rayproject/ray:2.60.0", **limits}]}},
        }
        self.must(self.plane.call("POST", RESOURCE, {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {
                "rayVersion": "2.60.0",
                "headGroupSpec": node("ray-head"),
                "workerGroupSpecs": [
                    {"groupName": GROUP, "replicas": 1, "minReplicas": 1, "maxReplicas": most, **node("ray-worker")}
                ],
            },
        }), name)

    @staticmethod
    def must(answer, name):
        status, body = answer
        if status != 201:
            raise RuntimeError(f"{name}: {status} {body[:300]}")
        return body

    def gets(self):
        """One cluster at a time, and every tenth call a page of ten."""
        for number in range(20 * CLUSTERS):
            path = ROUTE + f"ray-{number % CLUSTERS:03d}" if number // USERS % 10 else ROUTE[:-1] + "?limit=10"
            yield self.call(number % USERS, "GET", path)

    def scales(self):
        """Each to another count than the one before."""
        for number in range(7 * CLUSTERS):
            yield self.scale(number % USERS, f"ray-{number % CLUSTERS:03d}", 2 + (number // CLUSTERS * 3) % 7)

    def contending(self, calls):
        """All of one cluster, by all users in turn."""
        for number in range(calls):
            yield self.scale(number % USERS, CONTENDED, 2 + number * 37 % (MOST - 2))

    def scale(self, user, cluster, replicas):
        body = json.dumps({"group": GROUP, "replicas": replicas})
        group = "/cluster/groups/0/"
        tell = ["/cluster/resourceVersion"] + [group + part for part in ("minReplicas", "replicas", "maxReplicas")]
        return self.call(user, "PATCH", f"{ROUTE}{cluster}/scale", body, tell)

    def call(self, user, method, path, body="", tell=()):
        headers = {"Authorization": f"Bearer {self.tokens[user]}", "Content-Type": "application/json"}
        return {"method": method, "path": path, "headers": headers, "body": body, "from": f"127.0.1.{user}", "tell": list(tell)}

    def wanted(self, path, body):
        """Minimum, replicas and maximum that a call asks for."""
        return [1, json.loads(body)["replicas"], MOST if CONTENDED in path else 20]

    @staticmethod
    def counts(spec):
        """Minimum, replicas and maximum as they are stored."""
        group = spec["workerGroupSpecs"][0]
        return [group["minReplicas"], group["replicas"], group["maxReplicas"]]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
