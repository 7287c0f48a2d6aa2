#!/usr/bin/env python3
"""Runs tests of one of KubeRay's own suites against the node: each in a process of its own, a few at a
time, one line per test as it ends. The last line counts. Exit code 1 when one failed.

What came of each goes to a file, one line of JSON per test. With --again it is read: what failed there is
run once more, under KubeRay alone. What fails there too tells nothing about raywarden and is left out.
"""

import argparse
import json
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
_PART = re.compile(r"^\s+--- (PASS|FAIL|SKIP): (\S+) ", re.MULTILINE)
_RESULT = re.compile(r"^--- (PASS|FAIL|SKIP): ", re.MULTILINE)
_REASON = re.compile(r"^\s+(\S+_test\.go:\d+: .*(?:\n +(?! |\S+_test\.go:).*)*)$", re.MULTILINE)
_REASON_LINES = 16
_WORDS = {"PASS": "passed", "FAIL": "FAILED", "SKIP": "skipped"}


class Suite:
    """A compiled suite, and what came of its tests."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.name = args.binary.name.removesuffix(".test")
        self.out = args.out / args.manager / self.name
        self.out.mkdir(parents=True, exist_ok=True)
        self.printing = threading.Lock()
        self.results: dict = {}
        self.env = {
            **os.environ,
            "PATH": f"{args.kubectl.parent}:{os.environ['PATH']}",
            "KUBERAY_TEST_RAY_IMAGE": args.image,
            "KUBERAY_TEST_RAY_VERSION": args.image.rpartition(":")[2],
            "KUBERAY_TEST_TIMEOUT_SHORT": "2m",
            "KUBERAY_TEST_TIMEOUT_MEDIUM": "4m",
            "KUBERAY_TEST_TIMEOUT_LONG": "8m",
        }

    def listed(self) -> list:
        done = subprocess.run(
            [self.args.binary, "-test.list", self.args.only],
            env=self.env, cwd=self.out, capture_output=True, text=True, timeout=LIST_SECONDS, check=True,
        )
        return [line for line in done.stdout.splitlines() if line.startswith("Test")]

    def run(self, test: str) -> None:
        """One test; its whole output is kept beside those of the others."""
        folder = self.folder(test)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "output.log"
        begun = time.monotonic()
        pattern = "/".join(f"^{re.escape(part)}$" for part in test.split("/"))
        command = [self.args.binary, "-test.v", "-test.run", pattern, "-test.timeout", f"{TEST_SECONDS}s"]
        with log.open("wb") as sink:
            try:
                subprocess.run(
                    command, env={**self.env, "KUBERAY_TEST_OUTPUT_DIR": str(folder)}, cwd=folder,
                    stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=TEST_SECONDS + 60, check=False,
                )
            except subprocess.TimeoutExpired:
                pass
        self.tell(test, log.read_text(errors="replace"), time.monotonic() - begun)

    def folder(self, test: str) -> Path:
        return self.out / test.replace("/", ".")

    def tell(self, test: str, said: str, seconds: float) -> None:
        found = _RESULT.search(said)
        parts = {name.rpartition("/")[2]: part for part, name in _PART.findall(said) if name != test}
        result = found.group(1) if found else "FAIL"
        # Go calls a run without any test a success.
        if "/" in test and f"--- {result}: {test} " not in said:
            result = "FAIL"
        told = ", ".join(f"{name} {_WORDS[part]}" for name, part in parts.items())
        # Under KubeRay alone a failure is a finding, and no one's fault here.
        word = "fails" if self.args.again and result == "FAIL" else _WORDS[result]
        line = f"{word:7} {seconds:6.1f} s  {self.args.manager:9}  {self.name} {test}" + (f" ({told})" if told else "")
        record = {"manager": self.args.manager, "suite": self.name, "test": test, "result": result, "seconds": round(seconds, 1)}
        with self.printing:
            self.results[test] = result
            with (self.args.out / "results.jsonl").open("a") as sink:
                sink.write(json.dumps(record) + "\n")
            print(line, flush=True)
            if result == "FAIL":
                for reason in _REASON.findall(said)[-1:]:
                    for words in reason.splitlines()[:_REASON_LINES]:
                        print(f"          {words.strip()[:300]}", flush=True)

    def count(self, result: str) -> int:
        return list(self.results.values()).count(result)

    def judge(self, earlier: list) -> None:
        """What the run under KubeRay alone says of each earlier failure."""
        left_out = 0
        for record in earlier:
            who = f"{record['manager']:9}  {self.name} {record['test']}"
            log = (self.folder(record["test"]) / "output.log").relative_to(self.args.out.parent)
            if self.results[record["test"]] == "FAIL":
                left_out += 1
                print(f"left out            {who}: fails under KubeRay alone too, see {log}", flush=True)
            else:
                print(f"FAILED              {who}: passes under KubeRay alone", flush=True)
        print(f"{left_out} left out", flush=True)


def failed_before(suite: Suite) -> list:
    """The last word on each test under each manager but KubeRay alone, where that is a failure."""
    file = suite.args.out / "results.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    last = {(r["manager"], r["test"]): r for r in records if r["suite"] == suite.name and r["manager"] != suite.args.manager}
    return [record for record in last.values() if record["result"] == "FAIL"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path, help="the compiled suite")
    parser.add_argument("--kubectl", type=Path, required=True, help="the suites call it by name")
    parser.add_argument("--image", required=True, help="Ray's image")
    parser.add_argument("--out", type=Path, required=True, help="where results.jsonl and the output of each test go")
    parser.add_argument("--manager", required=True, help="who makes the Pods; stands in each line")
    parser.add_argument("--only", default=".", help="a regular expression over the names of tests")
    parser.add_argument("--test", action="append", help="exactly this test, or TEST/PART of it; may be repeated")
    parser.add_argument("--again", action="store_true", help="what failed before, and nothing else")
    parser.add_argument("--at-once", type=int, default=3)
    args = parser.parse_args()
    suite = Suite(args)
    earlier = failed_before(suite) if args.again else []
    if args.again:
        tests = sorted({record["test"] for record in earlier})
    else:
        tests = [test for test in args.test or suite.listed() if re.search(args.only, test)]
        if not tests and args.only == ".":
            parser.error(f"{suite.name} has no tests")
    with ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(suite.run, tests))
    if args.again:
        suite.judge(earlier)
        return 0
    skipped = f", {suite.count('SKIP')} skipped" if suite.count("SKIP") else ""
    print(f"{suite.count('PASS')} passed, {suite.count('FAIL')} failed{skipped}", flush=True)
    return 1 if suite.count("FAIL") else 0


if __name__ == "__main__":
    sys.exit(main())
