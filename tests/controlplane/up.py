#!/usr/bin/env python3
"""A real control plane on loopback for as long as standard input stays open.

Prints one JSON line when it serves: dir, kubeconfig, server, ca, kubectl, python, kuberay,
users {name: kubeconfig}, tokens {name: bearer token}, pids {program: process id}. On SIGUSR1 the API
server ends and starts again, and `restarts` in the folder counts that. Ends, and leaves nothing behind,
when standard input reaches its end or on SIGTERM, SIGINT or SIGHUP.
"""

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plane import Options, Plane
from processes import Failed, Parent, PortTaken, Stopped, run

BUILD = Path(__file__).resolve().parent.parent / "tools" / "build.sh"
# What build.sh allows itself: three builds, after waiting for somebody else's.
BUILD_SECONDS = 4 * 1800


def main() -> int:
    """Start, announce, stay, clean up."""
    asked = parse()
    parent = Parent()
    try:
        programs = find_programs(parent, asked.controller_manager)
        try:
            serve(parent, programs, asked)
        except PortTaken as error:
            print(f"up.py: starting once more: {error}", file=sys.stderr)
            serve(parent, programs, asked)
    except Stopped:
        return 0
    except Failed as error:
        print(f"up.py: {error}", file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--audit-log", type=Path, metavar="FILE", help="who wrote what, one JSON line each"
    )
    parser.add_argument(
        "--controller-manager", action="store_true", help="run kube-controller-manager too"
    )
    parser.add_argument(
        "--crd",
        default="none",
        metavar="kuberay|FILE|none",
        help="definitions to apply (a folder will do)",
    )
    parser.add_argument(
        "--apiserver-arg", action="append", default=[], metavar="FLAG", help="passed on as it is"
    )
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and data")
    return parser.parse_args()


def find_programs(parent: Parent, controller_manager: bool) -> dict[str, str]:
    """Ask build.sh, which may have to build for minutes."""
    argv = [str(BUILD), "--print"] + ["kube-controller-manager"] * controller_manager
    lines = run(parent, argv, BUILD_SECONDS).splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key: shlex.split(value)[0] for key, _, value in pairs}


def serve(parent: Parent, programs: dict[str, str], asked: argparse.Namespace) -> None:
    """One whole life of a control plane in a folder of its own."""
    audit_log = asked.audit_log and asked.audit_log.absolute()
    options = Options(audit_log, asked.controller_manager, asked.apiserver_arg)
    with private_folder(asked.keep) as folder:
        plane = Plane(parent, folder, programs)
        try:
            plane.start(options)
            apply_definitions(plane, asked.crd)
            print(json.dumps(description(plane)), flush=True)
            restarts = 0
            while True:
                parent.pause(1.0)
                plane.check()
                if parent.was_asked():
                    plane.restart_apiserver()
                    restarts += 1
                    (folder / "restarts").write_text(str(restarts))
        finally:
            plane.end()


@contextmanager
def private_folder(keep: bool) -> Iterator[Path]:
    """A folder that is gone afterwards unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="raywarden-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"up.py: kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def apply_definitions(plane: Plane, crd: str) -> None:
    """Apply CustomResourceDefinitions and wait until their kinds can be used."""
    if crd == "none":
        return
    bases = Path(plane.programs["KUBERAY_DIR"], "config", "crd", "bases")
    # RayCluster alone: the other three would add two seconds to every start.
    source = bases / "ray.io_rayclusters.yaml" if crd == "kuberay" else Path(crd)
    kubectl = [plane.programs["KUBECTL"], f"--kubeconfig={plane.kubeconfig('admin')}"]
    kubectl += [f"--cache-dir={plane.dir / 'kubectl'}"]
    applied = run(
        plane.parent, [*kubectl, "apply", "--server-side", "-f", str(source), "-o", "json"], 120
    )
    found = json.loads(applied)
    for item in found.get("items", [found]):
        if item["kind"] == "CustomResourceDefinition":
            plane.wait_established(item)


def description(plane: Plane) -> dict[str, Any]:
    """What a test must know."""
    people = [name for name in plane.tokens if name != "controllers"]
    return {
        "dir": str(plane.dir),
        "kubeconfig": str(plane.kubeconfig("admin")),
        "server": plane.server,
        "ca": str(plane.ca),
        "kubectl": plane.programs["KUBECTL"],
        # The interpreter itself: version managers put a slow shell script before it.
        "python": sys.executable,
        "kuberay": plane.programs["KUBERAY_DIR"],
        "users": {name: str(plane.kubeconfig(name)) for name in people},
        "tokens": {name: plane.tokens[name] for name in people},
        "pids": {child.name: child.pid for child in plane.children},
    }


if __name__ == "__main__":
    sys.exit(main())
