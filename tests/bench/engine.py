#!/usr/bin/env python3
"""What one review costs inside the engine: the criterion bench, run in rounds, kept with the date: medians, and the
99th percentile of single runs where the bench prints one.

Nothing is judged here; the JSON is kept.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def one_round(criterion):
    """The median of every bench and the percentiles that it prints, in microseconds."""
    bench = subprocess.run(
        [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--bench", "engine", "--",
         "--noplot", "--warm-up-time", "1", "--measurement-time", "3"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    medians = {}
    for new in sorted(criterion.glob("*/new")):
        name = json.loads((new / "benchmark.json").read_text())["full_id"]
        nanoseconds = json.loads((new / "estimates.json").read_text())["median"]["point_estimate"]
        medians[name] = round(nanoseconds / 1000, 1)
    for figure, name in re.findall(r"^p99 ([0-9.]+) us: (.+)$", bench.stdout, re.MULTILINE):
        medians[f"{name}, p99"] = float(figure)
    return medians


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="keep the figures here as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    rounds = [one_round(target / "criterion") for _ in range(options.rounds)]
    figures = {"date": datetime.date.today().isoformat(), "cpus": os.cpu_count()}
    for name in rounds[0]:
        times = [medians[name] for medians in rounds]
        figures[name] = {"us": times, "median_us": statistics.median(times)}
        print(f"{name:60} {figures[name]['median_us']:9.1f} us   {min(times):.1f} to {max(times):.1f}")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
