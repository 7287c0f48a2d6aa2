#!/usr/bin/env bash
# Fuzzes the review entry for the given number of seconds, from the cases as first inputs. Works on a
# stable toolchain: without a sanitizer cargo-fuzz needs no nightly one.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-30}
tools=${RAYWARDEN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/raywarden}/cargo
export PATH=$tools/bin:$PATH CARGO_TARGET_DIR=$PWD/target/fuzz
version=0.13.2

if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
  echo "installing cargo-fuzz $version into $tools"
  CARGO_TARGET_DIR=$tools/build cargo install --quiet --locked --root "$tools" "cargo-fuzz@$version"
fi

corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
python3 - "$corpus" <<'P'
import glob, json, os, sys
for path in sorted(glob.glob("tests/cases/*.json")):
    case = json.load(open(path, encoding="utf-8"))
    for number, step in enumerate(case["steps"], 1):
        with open(os.path.join(sys.argv[1], f"{case['id']}-{number}"), "w", encoding="utf-8") as out:
            json.dump(step["review"], out, separators=(",", ":"))
P
log=$(mktemp)
status=0
cargo fuzz run --sanitizer none --release review "$corpus" -- \
  -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 >"$log" 2>&1 || status=$?
tail -n 3 "$log"
if [ "$status" -ne 0 ]; then
  grep -E 'panicked|SUMMARY|Failing input|Reproduce' -A4 "$log" | head -40 >&2
  exit 1
fi
