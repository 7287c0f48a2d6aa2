"""From a Pod's container to what runs on one machine. Pure: no process, no network, no clock.

In: a Pod object, one of its containers, and where it may live (`Place`). Out: the environment and
the argument vector. Everything the controller under test decided stays, but for the options that
cannot hold where all Pods share one network: addresses, ports, memory and folders.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

Json = dict[str, Any]
# Value of a key of a Secret, or nothing where we may not read it.
ReadSecret = Callable[[str, str], Optional[str]]

START_VARIABLE = "KUBERAY_GEN_RAY_START_CMD"
# Where every sandbox shows the folder that a Pod's containers share: short, as socket paths must be.
TEMP_DIR = "/run/ray"
# What one machine can bear of many nodes at once.
OBJECT_STORE_BYTES = 80_000_000
MEMORY_BYTES = 1_000_000_000
GCS_PORT = 6379
DASHBOARD_PORT = 8265

_VARIABLE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
_FIELD_MAP = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
# A word of the shell, kept as it is written: quoted parts and variables are the shell's to resolve.
_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\;&|])+"""
_RAY_START = re.compile(rf"(?P<ray>\bray[ \t]+start\b)(?P<options>(?:(?:[ \t]|\\\n)+{_WORD})*)")
_AUTOSCALER = re.compile(r"\bray[ \t]+kuberay-autoscaler\b")


class Place(NamedTuple):
    """Where a Pod lives: its address, and the head it belongs to (itself, when it is one)."""

    address: str
    head_address: str
    gcs_port: int
    client_port: int

    @property
    def gcs(self) -> str:
        """HOST:PORT of the head's GCS."""
        return f"{self.head_address}:{self.gcs_port}"


def expand(text: str, env: Mapping[str, str]) -> str:
    """Kubernetes' own $(VAR); what is unknown stays as it is, and $$ is a dollar."""

    def value(match: "re.Match[str]") -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group(0))

    return _VARIABLE.sub(value, text)


def environment(pod: Json, container: Json, address: str, secret: ReadSecret) -> dict[str, str]:
    """The container's own variables, in order, as the kubelet resolves them."""
    env: dict[str, str] = {}
    for entry in container.get("env", []):
        source = entry.get("valueFrom")
        if source is None:
            found: Optional[str] = expand(entry.get("value", ""), env)
        elif "fieldRef" in source:
            found = _field(pod, source["fieldRef"]["fieldPath"], address)
        elif "secretKeyRef" in source:
            found = secret(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        else:
            found = None
        if found is not None:
            env[entry["name"]] = found
    return env


def _field(pod: Json, path: str, address: str) -> Optional[str]:
    if path in ("status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"):
        return address
    mapped = _FIELD_MAP.fullmatch(path)
    if mapped:
        found = pod["metadata"].get(mapped.group(1), {}).get(mapped.group(2), "")
    else:
        found = pod
        for part in path.split("."):
            found = found.get(part, "") if isinstance(found, dict) else ""
    return str(found)


def ray_node(
    container: Json, env: dict[str, str], head: bool, place: Place
) -> tuple[list[str], dict[str, str]]:
    """What container 0 runs, and its environment with every address in it made true."""
    env = dict(env)
    if START_VARIABLE in env:
        env[START_VARIABLE] = rewrite(env[START_VARIABLE], head, place)
    if "RAY_ADDRESS" in env:
        env["RAY_ADDRESS"] = place.gcs
    if "RAY_PORT" in env:
        env["RAY_PORT"] = str(place.gcs_port)
    for name in ("FQ_RAY_IP", "RAY_IP"):
        if name in env:
            env[name] = place.head_address
    argv = [rewrite(word, head, place) for word in _argv(container, env)]
    starts = any(_RAY_START.search(word) or START_VARIABLE in word for word in argv)
    if starts:
        return argv, env
    if START_VARIABLE not in env:
        raise ValueError(f"container {container['name']} has no `ray start` to run")
    return ["/bin/bash", "-c", f"exec {env[START_VARIABLE]}"], env


def autoscaler(
    container: Json, env: dict[str, str], place: Place
) -> tuple[list[str], dict[str, str]]:
    """Ray's own autoscaler, its command line untouched but for where the GCS is.

    Without the option it asks its own address at Ray's usual port, which only one head can have.
    """
    option = f"--gcs-address={place.gcs}"
    argv = [
        word if "--gcs-address" in word else _AUTOSCALER.sub(rf"\g<0> {option}", word)
        for word in _argv(container, env)
    ]
    if argv[:2] == ["ray", "kuberay-autoscaler"]:
        argv.insert(2, option)
    return argv, dict(env)


def _argv(container: Json, env: Mapping[str, str]) -> list[str]:
    words = [*container.get("command", []), *container.get("args", [])]
    return [expand(word, env) for word in words]


def rewrite(script: str, head: bool, place: Place) -> str:
    """The script with the options of each `ray start` in it replaced; all else stays."""
    return _RAY_START.sub(
        lambda match: " ".join(
            [match["ray"], *_options(re.findall(_WORD, match["options"]), head, place)]
        ),
        script,
    )


def _options(words: list[str], head: bool, place: Place) -> list[str]:
    """Options as they are to be: ours, then given ones that hold here, as a redirection may follow."""
    ours = {
        "--node-ip-address": place.address,
        "--temp-dir": TEMP_DIR,
        "--object-store-memory": OBJECT_STORE_BYTES,
        "--memory": MEMORY_BYTES,
        # The usual port is bound on 127.0.0.1 too: a second node would lose its agent.
        "--dashboard-agent-listen-port": 0,
        # Ports of the kernel's choice, or those of several nodes would meet.
        "--min-worker-port": 0,
        "--max-worker-port": 0,
    }
    if head:
        given = _value(words, "--dashboard-port")
        ours["--port"] = place.gcs_port
        ours["--dashboard-host"] = place.address
        ours["--dashboard-port"] = given or DASHBOARD_PORT
        ours["--ray-client-server-port"] = place.client_port
    else:
        ours["--address"] = place.gcs
    dropped = {*ours, "--metrics-export-port", "--worker-port-list", "--port", "--address"}
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.partition("=")
        if name in dropped:
            skip = not equals
        elif skip and not word.startswith("--"):
            skip = False
        else:
            skip = False
            kept.append(word)
    flags = [flag for flag in ("--block", "--disable-usage-stats") if flag not in kept]
    return [*flags, *(f"{name}={value}" for name, value in ours.items()), *kept]


def _value(words: list[str], option: str) -> str:
    """What an option was given, in either spelling; empty when it was not."""
    for word, following in zip(words, [*words[1:], ""]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word[len(option) + 1 :]
    return ""


def dashboard_port(argv: list[str], env: Mapping[str, str]) -> Optional[int]:
    """The port of the dashboard that a rewritten head opens; nothing when it opens none."""
    text = " ".join([*argv, env.get(START_VARIABLE, "")])
    if re.search(r"--include-dashboard[= ]+(false|False|0)", text):
        return None
    found = re.search(r"--dashboard-port=(\d+)", text)
    return int(found.group(1)) if found else DASHBOARD_PORT
