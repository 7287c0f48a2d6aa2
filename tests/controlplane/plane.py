"""One etcd and one kube-apiserver in a private folder: their flags, keys, users and kubeconfigs."""

import http.client
import json
import random
import secrets
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import request
from processes import Child, Failed, Parent, PortTaken, TooLate, run

# Below the range from which the kernel hands out ports for outgoing connections, and apart from the
# range of tests/support/wait.rs: what is free when we look is still free when the server binds.
PORTS = range(12000, 20000)
READY_SECONDS = 120.0
END_SECONDS = 5.0
# Short: where we lost a race for the port, a stranger may listen there and never answer.
CALL_SECONDS = 3.0

MASTERS = "system:masters"
CONTROLLERS = "system:kube-controller-manager"
# short name -> (user name, group): kubeconfigs are called by the short name
USERS = {
    "admin": ("admin", MASTERS),
    "alice": ("alice@corp.example", ""),
    "argo": ("argo", ""),
    "controllers": (CONTROLLERS, ""),
}
# People get their rights the way most clusters give them, by a binding, so that nothing in a test
# passes only because of the group that skips every check.
CLUSTER_ADMINS = ("alice", "argo")


class Options(NamedTuple):
    """What the caller asked for."""

    audit_log: Optional[Path]
    controller_manager: bool
    apiserver_args: Sequence[str]


def free_port() -> int:
    """A loopback port nobody listens on."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            # As the server will do it: a port in TIME_WAIT is good enough.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed(f"no free port among 200 tried between {PORTS.start} and {PORTS.stop}")


class Plane:
    """The servers, as far as they have been started; `end` stops what there is."""

    def __init__(self, parent: Parent, folder: Path, programs: dict[str, str]) -> None:
        self.parent = parent
        self.dir = folder
        self.programs = programs
        self.children: list[Child] = []
        self.tokens = {name: secrets.token_hex(16) for name in USERS}
        self.ca = folder / "pki" / "ca.crt"
        self.server = f"https://127.0.0.1:{free_port()}"

    def start(self, options: Options) -> None:
        """Bring everything up, in order, until it serves."""
        socket_path = self._start_etcd()
        self._write_keys()
        self._start_apiserver(socket_path, options)
        self._wait("kube-apiserver ready", lambda: self._ok("/readyz"))
        self._grant()
        if options.controller_manager:
            self._start_controller_manager()

    def check(self) -> None:
        """Raise if a server has ended by itself."""
        for child in self.children:
            child.check()

    def restart_apiserver(self) -> None:
        """Stop the API server and start it again on what etcd holds, at the same address."""
        for child in self.children:
            if child.name == "kube-apiserver":
                child.restart(END_SECONDS)
        self._wait("kube-apiserver ready again", lambda: self._ok("/readyz"))

    def end(self) -> None:
        """Stop everything, clients before servers."""
        while self.children:
            self.children.pop().end(END_SECONDS)

    def kubeconfig(self, name: str) -> Path:
        """Where the kubeconfig of a user lies."""
        return self.dir / f"{name}.kubeconfig"

    def api(self, method: str, path: str, body: Any = None, user: str = "admin") -> request.Answer:
        """One call to the API server; a body goes out as JSON."""
        return request.send(
            self.server + path,
            method,
            [
                ("Authorization", f"Bearer {self.tokens[user]}"),
                ("Content-Type", "application/json"),
            ],
            None if body is None else json.dumps(body),
            str(self.ca),
            CALL_SECONDS,
        )

    def wait_established(self, crd: dict[str, Any]) -> None:
        """Wait until the kind of a CustomResourceDefinition is served and discovered."""
        name, spec = crd["metadata"]["name"], crd["spec"]
        plural = spec["names"]["plural"]
        groups = [f"/apis/{spec['group']}/{v['name']}" for v in spec["versions"] if v["served"]]

        def served() -> bool:
            return all(
                self._ok(f"{group}/{plural}?limit=1")
                and f'"name":"{plural}"' in self.api("GET", group).body
                for group in groups
            )

        self._wait(f"{name} served", served)

    def _start_etcd(self) -> Path:
        # A socket in a folder only we can enter needs neither a port nor certificates.
        socket_path = self.dir / "etcd.sock"
        if len(str(socket_path)) > 100:
            raise Failed(f"{socket_path} is too long for a socket: set TMPDIR to a shorter folder")
        self._spawn(
            "etcd",
            f"--data-dir={self.dir / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls=unix://{socket_path}",
            f"--listen-peer-urls=unix://{self.dir / 'peer.sock'}",
            # Never dialled with one member, but etcd refuses a socket here.
            "--advertise-client-urls=http://localhost:0",
        )
        self._wait("etcd listening", socket_path.exists)
        return socket_path

    def _write_keys(self) -> None:
        run(self.parent, [self.programs["PKI"], str(self.ca.parent)], 60)
        lines = []
        for name, (user, group) in USERS.items():
            lines.append(",".join(filter(None, (self.tokens[name], user, name, group))) + "\n")
            self._write(f"{name}.kubeconfig", self._kubeconfig(name))
        (self.dir / "tokens.csv").write_text("".join(lines))

    def _kubeconfig(self, user: str) -> Any:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.server, "certificate-authority": str(self.ca)},
                }
            ],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }

    def _start_apiserver(self, socket_path: Path, options: Options) -> None:
        pki = self.ca.parent
        arguments = [
            f"--etcd-servers=unix://{socket_path}",
            "--bind-address=127.0.0.1",
            # Nobody looks it up, but without one it looks for a default route, and not all have one.
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.server.rpartition(':')[2]}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--token-auth-file={self.dir / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/24",
            # Endpoints may not hold a loopback address; without this the log fills with refusals.
            "--endpoint-reconciler-type=none",
            "--allow-privileged",
        ]
        if options.audit_log is not None:
            policy = self._write("audit-policy.json", AUDIT_POLICY)
            arguments += [f"--audit-policy-file={policy}", f"--audit-log-path={options.audit_log}"]
        self._spawn("kube-apiserver", *arguments, *options.apiserver_args)

    def _start_controller_manager(self) -> None:
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('controllers')}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.ca.parent / 'sa.key'}",
            f"--root-ca-file={self.ca}",
            "--leader-elect=false",
            # The default of 20 a second makes its start a queue of five seconds.
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
            "--secure-port=0",
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait("the default service account", lambda: self._ok(account))

    def _grant(self) -> None:
        api_group = "rbac.authorization.k8s.io"
        binding = {
            "apiVersion": f"{api_group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "raywarden-test-people"},
            "roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [
                {"apiGroup": api_group, "kind": "User", "name": USERS[name][0]}
                for name in CLUSTER_ADMINS
            ],
        }
        answer = self.api("POST", f"/apis/{api_group}/v1/clusterrolebindings", binding)
        if answer.status != 201:
            raise Failed(f"the people's ClusterRoleBinding was refused: {answer.body}")
        # The authorizer learns of the binding by a watch.
        last = CLUSTER_ADMINS[-1]
        self._wait("the people's rights", lambda: self._ok("/api/v1/secrets?limit=1", last))

    def _ok(self, path: str, user: str = "admin") -> bool:
        try:
            return self.api("GET", path, user=user).status == 200
        except ssl.SSLCertVerificationError as error:
            # Another test's API server, most likely, which won the port.
            raise PortTaken(f"{self.server} shows a stranger's certificate: {error}") from None
        except (OSError, http.client.HTTPException):
            return False

    def _wait(self, what: str, probe: Callable[[], bool]) -> None:
        def alive_and_there() -> bool:
            self.check()
            return probe()

        try:
            self.parent.wait_for(what, READY_SECONDS, alive_and_there)
        except TooLate as error:
            logs = "\n".join(f"-- {child.name}\n{child.tail()}" for child in self.children)
            raise Failed(f"{error}; the ends of the logs:\n{logs}") from None

    def _spawn(self, name: str, *arguments: str) -> None:
        program = self.programs[name.upper().replace("-", "_")]
        self.children.append(Child(name, [program, *arguments], self.dir / f"{name}.log"))

    def _write(self, name: str, value: Any) -> Path:
        # JSON is YAML, and the standard library can write it.
        path = self.dir / name
        path.write_text(json.dumps(value, indent=1))
        return path


AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver", CONTROLLERS]},
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        },
    ],
}
