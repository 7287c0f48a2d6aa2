#!/usr/bin/env python3
"""Runs one of KubeRay's own suites against the node: each of its tests in a process of its own, a few
at a time, one line per test as it ends. The last line counts. Exit code 1 when one failed.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Far above what any test needs: each waits within bounds of its own.
TEST_SECONDS = 1500
LIST_SECONDS = 60
_SUBTEST = re.compile(r"^\s+--- (PASS|FAIL|SKIP): \S+/(\S+) ", re.MULTILINE)
_RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): ", re.MULTILINE)
_REASON = re.compile(r"^\s+(\S+\.go:\d+: .*)$", re.MULTILINE)


class Suite:
    """A compiled suite, and what came of its tests."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.name = args.binary.name.removesuffix(".test")
        self.printing = threading.Lock()
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
        self.env = {
            **os.environ,
            "PATH": f"{args.kubectl.parent}:{os.environ['PATH']}",
            "KUBERAY_TEST_RAY_IMAGE": args.image,
            "KUBERAY_TEST_RAY_VERSION": args.image.rpartition(":")[2],
            "KUBERAY_TEST_TIMEOUT_SHORT": "2m",
            "KUBERAY_TEST_TIMEOUT_MEDIUM": "4m",
            "KUBERAY_TEST_TIMEOUT_LONG": "8m",
        }

    def tests(self) -> list:
        listed = subprocess.run(
            [self.args.binary, "-test.list", self.args.only],
            env=self.env, cwd=self.args.out, capture_output=True, text=True, timeout=LIST_SECONDS, check=True,
        )
        return [line for line in listed.stdout.splitlines() if line.startswith("Test")]

    def run(self, test: str) -> None:
        """One test; its whole output is kept beside those of the others."""
        folder = self.args.out / test
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "output.log"
        begun = time.monotonic()
        command = [self.args.binary, "-test.v", "-test.run", f"^{test}$", "-test.timeout", f"{TEST_SECONDS}s"]
        with log.open("wb") as sink:
            try:
                subprocess.run(
                    command, env={**self.env, "KUBERAY_TEST_OUTPUT_DIR": str(folder)}, cwd=folder,
                    stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=TEST_SECONDS + 60, check=False,
                )
            except subprocess.TimeoutExpired:
                pass
        self.tell(test, log.read_text(errors="replace"), time.monotonic() - begun)

    def tell(self, test: str, said: str, seconds: float) -> None:
        found = _RESULT.search(said)
        result = found.group(1) if found else "FAIL"
        parts = [f"{name} {part.lower()}" for part, name in _SUBTEST.findall(said)]
        words = {"PASS": "passed", "FAIL": "FAILED", "SKIP": "skipped"}[result]
        line = f"{words:7} {seconds:6.1f} s  {self.name} {test}" + (f" ({', '.join(parts)})" if parts else "")
        with self.printing:
            self.counts[result] += 1
            print(line, flush=True)
            if result == "FAIL":
                for reason in _REASON.findall(said)[-3:]:
                    print(f"          {reason[:300]}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path, help="the compiled suite")
    parser.add_argument("--kubectl", type=Path, required=True, help="the suites call it by name")
    parser.add_argument("--image", required=True, help="Ray's image")
    parser.add_argument("--out", type=Path, required=True, help="where the output of each test goes")
    parser.add_argument("--only", default=".", help="a regular expression over the names of tests")
    parser.add_argument("--at-once", type=int, default=3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    suite = Suite(args)
    tests = suite.tests()
    if not tests:
        parser.error(f"no test is called like {args.only}")
    with ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(suite.run, tests))
    counts = suite.counts
    skipped = f", {counts['SKIP']} skipped" if counts["SKIP"] else ""
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed{skipped}", flush=True)
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
