#!/usr/bin/env bash
# The browser behind tests/page: found where the machine has one, else installed from Debian (root).
#
#   chromium.sh        prints its path on standard output; progress goes to standard error
#
# CHROMIUM   a browser to use instead
set -euo pipefail

say() { printf 'chromium.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

found() {
  local name
  for name in chromium chromium-browser google-chrome-stable; do
    command -v "$name" && return
  done
  return 1
}

if [ -n "${CHROMIUM:-}" ]; then
  [ -x "$CHROMIUM" ] || die "CHROMIUM=$CHROMIUM cannot be run"
  echo "$CHROMIUM"
  exit
fi
if ! found; then
  [ "$(id -u)" = 0 ] || die "there is no chromium: apt install chromium, or set CHROMIUM"
  command -v apt-get >/dev/null || die "there is no chromium and no apt-get: set CHROMIUM"
  say "installing chromium"
  # One at a time; a second one finds the work done.
  exec 9>/tmp/raywarden-chromium.lock
  flock -w 900 9 || die "another chromium.sh never ended"
  if ! found; then
    export DEBIAN_FRONTEND=noninteractive
    { timeout 300 apt-get update -qq && timeout 600 apt-get install -qq -y --no-install-recommends chromium; } >&2 9>&- ||
      die "apt-get could not install chromium"
    found || die "chromium is installed and not found"
  fi
fi
