#!/usr/bin/env python3
"""What `raywarden api` does under load, on loopback with a real API server on the same cores.

First 500 authorised GETs and 100 scales a second at the same time, in an open loop: time is counted from when a call
was meant to go. Then 10,000 scales of one cluster over 256 connections at once, to different counts. A watch sees every
version of every cluster meanwhile. Unlike the other benches this one judges: it ends with 1 where a line of `must` does
not hold. The JSON is kept either way.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from admission import Plane, resident
from controller import Api
from domino import Domino
from native import Native

TARGETS = {"domino": Domino, "native": Native}
TICKS = os.sysconf("SC_CLK_TCK")


class Versions:
    """Every version of the target's clusters: its number, whose it is, minimum, replicas and maximum."""

    def __init__(self, told, target):
        self.told, self.collection, self.counts, self.seen = told, target.collection, target.counts, {}
        self.broken = None
        listed = json.loads(Api(told).call("GET", self.collection))
        for item in listed["items"]:
            self.keep(item)
        self.since = listed["metadata"]["resourceVersion"]
        threading.Thread(target=self.watch, daemon=True).start()

    def keep(self, item):
        metadata = item["metadata"]
        self.seen[metadata["resourceVersion"]] = (metadata["name"], self.counts(item["spec"]))

    def watch(self):
        """Goes on where the API server cut off a watcher that was too slow; a gap it would tell by an ERROR."""
        headers = {"Authorization": f"Bearer {self.told['tokens']['admin']}"}
        try:
            for _ in range(1000):
                connection = Api(self.told).connection
                query = f"?watch=1&timeoutSeconds=7200&resourceVersion={self.since}"
                connection.timeout = None
                connection.request("GET", self.collection + query, headers=headers)
                answer = connection.getresponse()
                while line := answer.readline():
                    item = json.loads(line)["object"]
                    self.keep(item)
                    self.since = item["metadata"]["resourceVersion"]
        except (OSError, ValueError, KeyError) as error:
            self.broken = f"the watch broke: {error!r}"

    def until(self, version):
        """Waits until this version was seen."""
        end = time.monotonic() + 30
        while version not in self.seen and time.monotonic() < end:
            time.sleep(0.05)

    def out_of_bounds(self):
        return [entry for entry in self.seen.values() if not entry[1][0] <= entry[1][1] <= entry[1][2]]


class Bench:
    """One target beside one control plane."""

    def __init__(self, options, target, work):
        self.options = options
        self.plane = Plane(target.crd)
        try:
            self.target = target(str(pathlib.Path(options.bin).resolve()), self.plane, work)
            self.versions = Versions(self.plane.told, self.target)
        except BaseException:
            self.plane.stop()
            raise
        self.unmet = []

    def must(self, line, holds):
        print(f"  {'ok    ' if holds else 'UNMET '} {line}", flush=True)
        if not holds:
            self.unmet.append(line)

    def load(self, streams, seconds):
        """What became of each call, and the CPU seconds of everybody meanwhile."""
        plan = json.dumps({"to": f"127.0.0.1:{self.target.port}", "streams": streams})
        pids = {**self.plane.told["pids"], "raywarden api": self.target.process.pid}
        before, machine = {name: cpu(pid) for name, pid in pids.items()}, busy()
        own, begin = os.times(), time.monotonic()
        done = subprocess.run([self.options.load], input=plan, text=True, stdout=subprocess.PIPE, check=True,
                              timeout=seconds + 120)
        took = time.monotonic() - begin
        spent = {name: round(cpu(pid) - before[name], 1) for name, pid in pids.items()}
        after = os.times()
        spent["load"] = round(after.children_user + after.children_system - own.children_user - own.children_system, 1)
        spent["watch and Domino's stub"] = round(after.user + after.system - own.user - own.system, 1)
        spent["others on this machine"] = round(max(busy() - machine - sum(spent.values()), 0), 1)
        return [json.loads(line) for line in done.stdout.splitlines()], took, spent

    def steady(self):
        seconds = self.options.seconds
        rates = {"get": (500, self.target.gets()), "scale": (100, self.target.scales())}
        streams = [
            {"name": name, "pace": {"per_second": {"calls": rate, "seconds": seconds}}, "requests": list(requests)}
            for name, (rate, requests) in rates.items()
        ]
        lines, _, spent = self.load(streams, seconds)
        figures = {"seconds": seconds, "cpu_seconds": spent}
        show("all at the same time", figures)
        for name, (rate, _) in rates.items():
            figures[name] = summary([line for line in lines if line["stream"] == name])
            show(f"{rate} a second: {name}", figures[name])
            good = figures[name]["statuses"].get("200", 0)
            self.must(f"{rate} {name} a second for {seconds} s: every one sent, answered and 200",
                      good == rate * seconds == figures[name]["calls"])
        scaled = [line for line in lines if line["stream"] == "scale"]
        self.must("each 200 of a scale shows what was asked, and that version was there", self.true(scaled))
        return figures

    def true(self, lines):
        """Whether each success shows what was asked for, and the watch saw that version with those counts; else which."""
        good = [line for line in lines if line["status"] == 200]
        if good:
            self.versions.until(max((line["said"][0] for line in good), key=int))
        seen = lambda line: self.versions.seen.get(line["said"][0], (None, None))[1]
        wanted = lambda line: self.target.wanted(line["path"], line["body"])
        false = [line for line in good if not line["said"][1:] == wanted(line) == seen(line)]
        for line in false[:3]:
            print(f"  said {line['said']}, asked for {wanted(line)}, the watch saw {seen(line)}: {line}")
        return not false

    def contended(self):
        calls = self.options.calls
        requests = list(self.target.contending(calls))
        stream = {"name": "contended", "pace": {"at_once": {"connections": 256}}, "requests": requests}
        lines, took, spent = self.load([stream], 600)
        figures = {**summary(lines), "seconds": round(took, 1), "cpu_seconds": spent}
        show(f"{calls} scales of one cluster over 256 connections", figures)
        good = [line for line in lines if line["status"] == 200]
        self.must(f"at least 99 % of {calls} end in 200", len(lines) == calls and len(good) >= 0.99 * calls)
        self.must("each 200 shows what was asked, and that version was there", self.true(lines))
        final = json.loads(Api(self.plane.told).call("GET", f"{self.target.collection}/{self.target.contended}"))
        accepted = {line["said"][0]: self.target.wanted(line["path"], line["body"]) for line in good}
        self.must("the object in the end is as an accepted call asked, the one of that version",
                  accepted.get(final["metadata"]["resourceVersion"]) == self.target.counts(final["spec"]))
        figures["versions"] = sum(name == self.target.contended for name, _ in self.versions.seen.values())
        return figures

    def run(self):
        figures = {"steady": self.steady(), "contended": self.contended()}
        self.must(f"minimum <= replicas <= maximum in each of {len(self.versions.seen)} versions",
                  not self.versions.out_of_bounds())
        self.must(f"the watch saw every version ({self.versions.broken or 'no gap'})", not self.versions.broken)
        return {**figures, "resident_mib": resident(self.target.process.pid), "unmet": self.unmet}

    def close(self):
        self.target.close()
        self.plane.stop()


def cpu(pid):
    """CPU seconds of a process so far."""
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS


def busy():
    """CPU seconds of the whole machine so far."""
    first = pathlib.Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    idle = int(first[3]) + int(first[4])
    return (sum(int(part) for part in first) - idle) / TICKS


def summary(lines):
    micros = sorted(line["micros"] for line in lines)
    late = sorted(line["late"] for line in lines)
    at = lambda figures, share: round(figures[min(int(len(figures) * share), len(figures) - 1)] / 1000, 2)
    statuses = collections.Counter(str(line["status"]) for line in lines)
    faults = collections.Counter(re.sub(r"[0-9]+", "N", str(line["said"])) for line in lines if line["status"] != 200)
    return {
        "calls": len(lines),
        "statuses": dict(statuses),
        "p50_ms": at(micros, 0.5),
        "p90_ms": at(micros, 0.9),
        "p99_ms": at(micros, 0.99),
        "most_ms": at(micros, 1),
        "sent_late_p99_ms": at(late, 0.99),
        **({"faults": dict(faults.most_common(5))} if faults else {}),
    }


def show(title, figures):
    print(title)
    for key, value in figures.items():
        print(f"  {key}: {value}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--load", required=True, help="the program of tests/bench/load.rs")
    parser.add_argument("--out", required=True)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="repeatable (default: all)")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--note", default="", metavar="TEXT", help="what else is to be known of the machine")
    options = parser.parse_args()
    result = {
        "date": datetime.date.today().isoformat(),
        "what": f"raywarden api, API server, etcd, Domino's stub, a watch and the load on {os.cpu_count()} cores, loopback",
        "note": options.note,
        "load_before": round(os.getloadavg()[0], 2),
    }
    for name in options.target or sorted(TARGETS):
        with tempfile.TemporaryDirectory() as work:
            bench = Bench(options, TARGETS[name], work)
            try:
                result[name] = bench.run()
            finally:
                bench.close()
    pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    unmet = [line for name in TARGETS for line in result.get(name, {}).get("unmet", [])]
    if unmet:
        sys.exit("unmet: " + "; ".join(unmet))


if __name__ == "__main__":
    main()
