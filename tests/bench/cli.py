#!/usr/bin/env python3
"""What `raywarden review` costs from outside: process start to answer, and a thousand manifests in one call.

Five rounds of each, resident memory by the kernel's own account. Nothing is judged here; the JSON is kept.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def measured(command):
    """Wall time in milliseconds, peak resident memory in MiB, exit status."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - begin) * 1000
    return round(wall, 2), round(usage.ru_maxrss / 1024, 1), os.waitstatus_to_exitcode(status)


def rounds(command, count=5, warm=2):
    for _ in range(warm):
        measured(command)
    figures = [measured(command) for _ in range(count)]
    return {
        "ms": [figure[0] for figure in figures],
        "mib": [figure[1] for figure in figures],
        "median_ms": statistics.median(figure[0] for figure in figures),
        "most_mib": max(figure[1] for figure in figures),
        "exit": sorted({figure[2] for figure in figures}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    binary = str(pathlib.Path(options.bin).resolve())
    sample = (ROOT / "tests/demo/cluster.yaml").read_text(encoding="utf-8")
    # Two more groups: about the size of a real manifest.
    group = sample[sample.index("  - groupName"):]
    text = sample + "".join(group.replace("small", name) for name in ("medium", "large"))
    with tempfile.TemporaryDirectory() as folder:
        many = pathlib.Path(folder) / "many"
        many.mkdir()
        for index in range(1000):
            (many / f"{index:04}.yaml").write_text(text.replace("name: demo", f"name: demo-{index}"), encoding="utf-8")
        one = many / "0000.yaml"
        joined = pathlib.Path(folder) / "joined.yaml"
        joined.write_text("---\n".join(path.read_text(encoding="utf-8") for path in sorted(many.iterdir())), encoding="utf-8")
        review = [binary, "review", "-f"]
        result = {
            "date": datetime.date.today().isoformat(),
            "manifest_bytes": len(text),
            "one manifest": rounds([*review, str(one)]),
            "1000 manifests in a folder": rounds([*review, str(many)]),
            "1000 manifests in a folder, json": rounds([*review, str(many), "--output", "json"]),
            "1000 documents in a file": rounds([*review, str(joined)]),
        }
    pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, figures in result.items():
        if isinstance(figures, dict):
            print(f"{name}: {figures['median_ms']} ms, {figures['most_mib']} MiB, exit {figures['exit']}")


if __name__ == "__main__":
    main()
