"""The target `domino` of api.py: clusters of Domino's kind, Domino's stub over TLS, and `raywarden api` as deploy/domino
installs it, with its own account and its own limits.

A caller has an address and a credential of its own, as workspaces do: the limits for each stay what they are.
"""

import http.server
import json
import pathlib
import ssl
import subprocess
import threading

from admission import ROOT, free_port, wait_for_port

NAMESPACE = "domino-compute"
RESOURCE = f"/apis/distributed-compute.dominodatalab.com/v1alpha1/namespaces/{NAMESPACE}/rayclusters"
OWNER = "dominodatalab.com/starting-user-id"
USERS, CLUSTERS, ADMINS = 50, 100, 256
CONTENDED, MOST, CEILING = "ray-contended", 200, 200
ROUTE = "/ddl_cluster_scaler/scale/rayclusters/"


class Principals(http.server.BaseHTTPRequestHandler):
    """Domino's answer to "who is this?": user-N and admin-N are known."""

    def do_GET(self):
        name, _, number = (self.headers["X-Domino-Api-Key"] or "").partition("-")
        known = self.path == "/v4/auth/principal" and name in ("user", "admin") and number.isdigit()
        said = {"isAnonymous": True, "isAdmin": False}
        if known:
            said = {"isAnonymous": False, "isAdmin": name == "admin", "canonicalName": f"{name}-{number}"}
            said["canonicalId"] = identity(name, number)
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


class Identities(http.server.ThreadingHTTPServer):
    """Many callers come at once in the beginning; each has its handshake in a thread of its own."""

    daemon_threads, request_queue_size = True, 256

    def finish_request(self, request, client_address):
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


def identity(name, number):
    return f"{'5d' if name == 'user' else '5a'}{int(number):022x}"


class Domino:
    """The API and what it needs; `close` ends what was started here."""

    crd = str(ROOT / "tests/data/domino/crd.yaml")
    collection = RESOURCE
    contended = CONTENDED

    def __init__(self, binary, plane, work):
        self.plane, self.work = plane, pathlib.Path(work)
        plane.kubectl("create", "namespace", NAMESPACE)
        plane.kubectl("apply", "-k", str(ROOT / "deploy/domino"))
        for number in range(CLUSTERS):
            self.create(f"ray-{number:024x}", identity("user", number % USERS), 20)
        self.create(CONTENDED, identity("user", 0), MOST)
        url, authority = self.identities(binary)
        self.port = free_port()
        command = [binary, "api", "--domino-listen", f"127.0.0.1:{self.port}", "--ops-listen", "127.0.0.1:0"]
        command += ["--kubeconfig", str(write_kubeconfig(plane, self.work, "domino-field")), "--domino-url", url, "--domino-ca-file", authority]
        command += ["--scale-ceiling", str(CEILING), "--log-format", "json"]
        with open(self.work / "api.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([*command, "--shutdown-delay", "0s"], stderr=log)
        wait_for_port(self.port)

    def create(self, name, owner, most):
        size = {"cpu": "1", "memory": "1Gi"}
        status, body = self.plane.call("POST", RESOURCE, {
            "apiVersion": "distributed-compute.dominodatalab.com/v1alpha1",
            "kind": "RayCluster",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {OWNER: owner}},
            "spec": {
                "image": {"repository": "ray", "tag": "2.60.0"},
                "autoscaling": {"minReplicas": 1, "maxReplicas": most},
                "worker": {"replicas": 1, "resources": {"requests": size, "limits": size}},
                "head": {"resources": {"requests": size}},
            },
        })
        if status != 201:
            raise RuntimeError(f"{name}: {status} {body[:300]}")

    def identities(self, binary):
        folder = self.work / "domino"
        generate = [binary, "generate", "certs", "--out", str(folder), "--name", "localhost"]
        subprocess.run(generate, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = Identities(("127.0.0.1", 0), Principals)
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"https://localhost:{server.server_address[1]}", str(folder / "ca.crt")

    def gets(self):
        """One cluster at a time, and every tenth call the caller's list."""
        for number in range(20 * CLUSTERS):
            user = number % USERS
            path = "/raycluster/list" if number // USERS % 10 == 0 else f"/raycluster/ray-{number % CLUSTERS:024x}"
            yield call(f"user-{user}", "GET", path)

    def scales(self):
        """As documented, each to another count than the one before."""
        for number in range(7 * CLUSTERS):
            cluster = f"ray-{number % CLUSTERS:024x}"
            yield scale(f"user-{number % USERS}", cluster, 2 + (number // CLUSTERS * 3) % 7)

    def contending(self, calls):
        """All of one cluster, by many admins, over the documented route and the later one in turn."""
        for number in range(calls):
            replicas = 2 + number * 37 % (MOST - 2)
            send = scale if number // ADMINS % 2 else scale_within
            yield send(f"admin-{number % ADMINS}", CONTENDED, replicas)

    def wanted(self, path, body):
        """Minimum, replicas and maximum that a call asks for."""
        replicas = json.loads(body)["replicas"]
        most = MOST if path.startswith(ROUTE) else min(replicas + 1, CEILING)
        return [replicas, replicas, most]

    @staticmethod
    def counts(spec):
        """Minimum, replicas and maximum as they are stored."""
        bounds = spec["autoscaling"]
        return [bounds["minReplicas"], spec["worker"]["replicas"], bounds["maxReplicas"]]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def write_kubeconfig(plane, work, namespace):
    """A kubeconfig of the API's own account."""
    told = plane.told
    command = [told["kubectl"], "--kubeconfig", told["kubeconfig"], "create", "token", "raywarden-api"]
    token = subprocess.check_output([*command, "-n", namespace], text=True, timeout=60).strip()
    cluster = {"server": told["server"], "certificate-authority": told["ca"]}
    file = work / "kubeconfig"
    file.write_text(json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "api", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "api"}}],
        "current-context": "bench",
    }), encoding="utf-8")
    return file


def call(who, method, path, body="", at=None):
    name, _, number = who.partition("-")
    tell = [] if at is None else [f"{at}/metadata/resourceVersion"] + [
        f"{at}/spec/{part}" for part in ("autoscaling/minReplicas", "worker/replicas", "autoscaling/maxReplicas")
    ]
    return {
        "method": method,
        "path": path,
        "headers": {"X-Domino-Api-Key": who, "Content-Type": "application/json"},
        "body": body,
        "from": f"127.0.{1 if name == 'user' else 2}.{int(number) % 256}",
        "tell": tell,
    }


def scale(who, cluster, replicas):
    return call(who, "POST", "/raycluster/scale", json.dumps({"cluster_name": cluster, "replicas": replicas}), "")


def scale_within(who, cluster, replicas):
    return call(who, "PATCH", ROUTE + cluster, json.dumps({"replicas": replicas}), "/object")
