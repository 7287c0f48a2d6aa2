#!/usr/bin/env bash
# A virtual environment with the Ray that tests/ray runs: made once, kept outside the checkout.
#
#   venv.sh        prints its folder on standard output; progress goes to standard error
#
# RAYWARDEN_CACHE   where it is kept (default: raywarden in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RAYWARDEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or RAYWARDEN_CACHE}/.cache}/raywarden}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
readonly here cache install_limit=900

say() { printf 'venv.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The interpreter itself: version managers put a slow shell script before it. Its folder is part of
# what the environment depends on, as it links there.
python=$(python3 -c 'import sys; print(sys.executable)') || die "python3 is missing"
stamp=$( (cat "$here/requirements.txt"; "$python" --version; echo "$python") | cksum | cut -d' ' -f1)
# The stamp is part of the path; the file of that name is written last, so a half-made one lacks it.
venv=$cache/ray/$stamp
readonly python stamp venv

make_venv() {
  local log=$cache/ray/$stamp.log start=$SECONDS
  rm -rf "$venv"
  say "installing $(grep '^ray' "$here/requirements.txt") into $venv; output in $log"
  # Scripts name the interpreter by its full path, so it is made where it stays.
  "$python" -m venv "$venv" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; die "python3 cannot make virtual environments; Debian: apt install python3-venv"; }
  timeout "$install_limit" "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input \
    -r "$here/requirements.txt" >>"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "pip failed; all its output is in $log"; }
  (cd / && "$venv/bin/ray" --version) >>"$log" 2>&1 || die "ray does not start; see $log"
  touch "$venv/made"
  say "installed in $((SECONDS - start)) s"
}

if [ ! -e "$venv/made" ]; then
  command -v flock >/dev/null || die "flock is missing: install util-linux"
  mkdir -p "$cache/ray"
  # One maker at a time; the second one finds the work done.
  exec 9>"$cache/ray/lock"
  flock -w $((2 * install_limit)) 9 || die "another venv.sh never ended"
  # pip's children must not hold the lock after us.
  [ -e "$venv/made" ] || make_venv 9>&-
fi
echo "$venv"
