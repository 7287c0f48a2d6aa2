#!/usr/bin/env bash
# axe-core, which tests/page lets loose on the page: fetched once, kept outside the checkout.
#
#   axe.sh        prints the path of axe.min.js on standard output; progress goes to standard error
#
# RAYWARDEN_CACHE   where it is kept (default: raywarden in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RAYWARDEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or RAYWARDEN_CACHE}/.cache}/raywarden}
mkdir -p "$cache/axe"
cache=$(cd "$cache" && pwd)
stamp=$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
readonly here cache stamp axe=$cache/axe/$stamp/axe.min.js

say() { printf 'axe.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

if [ ! -e "$axe" ]; then
  # One maker at a time; the second one finds the work done.
  exec 9>"$cache/axe/lock"
  flock -w 600 9 || die "another axe.sh never ended"
  if [ ! -e "$axe" ]; then
    say "fetching axe-core"
    made=$(mktemp -d "$cache/axe/$stamp.XXXXXX")
    trap 'rm -rf "$made"' EXIT
    python3 -m venv "$made/venv" >&2 9>&- ||
      die "python3 cannot make virtual environments; Debian: apt install python3-venv"
    timeout 300 "$made/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps --no-compile \
      --root-user-action=ignore --target "$made" -r "$here/requirements.txt" >&2 9>&- ||
      die "pip failed"
    mkdir -p "${axe%/*}"
    # Moved last, whole.
    mv "$made"/axe_playwright_python/axe.min.js "$axe"
  fi
fi
echo "$axe"
