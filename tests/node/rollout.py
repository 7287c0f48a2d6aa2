#!/usr/bin/env python3
"""A rolling restart of raywarden under load loses no call: a file that it refuses is created in dry runs
all the while, and with failure policy Ignore a call that nobody answers would let one through. Then the
replica that leads is deleted, and another one leads.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

HOME = "raywarden-system"
CALLERS = 4
RESTART_SECONDS = 180
# Callers go on for a while after the restart, when old replicas have drained.
AFTER = 10.0
PULSE = 0.05


class Failed(Exception):
    """What was seen instead."""


def run(kubectl: str, *words: str, limit: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run([kubectl, *words], capture_output=True, text=True, timeout=limit, check=False)


def checked(kubectl: str, *words: str, limit: float = 60) -> str:
    done = run(kubectl, *words, limit=limit)
    if done.returncode != 0:
        raise Failed(f"kubectl {' '.join(words)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def restart(kubectl: str, bad: Path) -> str:
    """Restart under load; every call must have been refused by the webhook."""
    ended = threading.Event()
    refused, lost = [], []

    def call() -> None:
        until = time.monotonic() + RESTART_SECONDS + AFTER
        while not ended.is_set() and time.monotonic() < until:
            done = run(kubectl, "create", "--dry-run=server", "--filename", str(bad))
            said = f"at {time.strftime('%T')}: {done.stdout}{done.stderr}"
            (refused if "[raywarden bounds/" in done.stderr else lost).append(said)

    gaps = [0.0]

    def pulse() -> None:
        """How long a thread that only sleeps was kept from waking up: a machine with no time answers nobody."""
        last = time.monotonic()
        while not ended.wait(PULSE):
            now = time.monotonic()
            gaps.append(now - last - PULSE)
            last = now

    callers = [threading.Thread(target=call) for _ in range(CALLERS)] + [threading.Thread(target=pulse)]
    for caller in callers:
        caller.start()
    try:
        checked(kubectl, "-n", HOME, "rollout", "restart", "deployment/raywarden")
        checked(kubectl, "-n", HOME, "rollout", "status", "deployment/raywarden", f"--timeout={RESTART_SECONDS}s", limit=RESTART_SECONDS + 10)
        time.sleep(AFTER)
    finally:
        ended.set()
        for caller in callers:
            caller.join()
    stood = f"the machine stood still for {max(gaps):.1f} s at most"
    if lost:
        raise Failed(f"{len(lost)} of {len(lost) + len(refused)} calls were not answered; {stood}; {lost[0].strip()[:300]}")
    return f"{len(refused)} calls, each answered; {stood}"


def another_leads(kubectl: str, _bad: Path) -> str:
    lease = ("-n", HOME, "get", "lease", "raywarden-controller", "-o", "jsonpath={.spec.holderIdentity}")
    before = checked(kubectl, *lease)
    checked(kubectl, "-n", HOME, "delete", "pod", before, "--wait=false")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        now = checked(kubectl, *lease)
        if now not in ("", before):
            return f"{now} after {before}"
        time.sleep(0.2)
    raise Failed(f"nobody leads after {before}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--bad", required=True, type=Path, help="a file that raywarden refuses")
    args = parser.parse_args()
    passed = failed = 0
    for what, act in (("a rolling restart under load", restart), ("the leader is deleted", another_leads)):
        begun = time.monotonic()
        try:
            found, word = act(args.kubectl, args.bad), "passed"
            passed += 1
        except (Failed, subprocess.SubprocessError) as error:
            found, word = str(error), "FAILED"
            failed += 1
        print(f"{word}  {time.monotonic() - begun:6.1f} s  {what}: {found}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
