#!/usr/bin/env bash
# The image of the Dockerfile as an OCI archive, without Docker and without a registry.
#
#   image.sh [OUT.tar]
#
# OUT.tar   default: target/raywarden.tar
# PROFILE   the profile of Cargo, default release
# Linked against musl where this Rust has that target or can get it, else against glibc's archive.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/target/raywarden.tar}
profile=${PROFILE:-release}
machine=$(uname -m)
readonly here root out profile machine

say() { printf 'image.sh: %s\n' "$*" >&2; }

# has_musl: whether this Rust builds for musl, after asking rustup for it once
has_musl() {
  command -v musl-gcc >/dev/null || return 1
  [ -d "$(rustc --print sysroot)/lib/rustlib/$machine-unknown-linux-musl/lib" ] && return
  command -v rustup >/dev/null && timeout 120 rustup target add "$machine-unknown-linux-musl" >/dev/null 2>&1
}

cd "$root"
if has_musl; then
  target=$machine-unknown-linux-musl
else
  target=$machine-unknown-linux-gnu
  export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
fi
say "building for $target, profile $profile"
cargo build --quiet --locked --profile "$profile" --target "$target" --bin raywarden

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
install -m 755 "target/$target/$profile/raywarden" "$tree/raywarden"
if ldd "$tree/raywarden" >/dev/null 2>&1 && ! ldd "$tree/raywarden" 2>&1 | grep -q 'statically linked'; then
  say "the binary needs libraries, and the image has none"
  exit 1
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
mkdir -p "$(dirname "$out")"
python3 "$here/oci.py" "$tree" "$out" --name "docker.io/library/raywarden:$version" \
  --entrypoint /raywarden --user 65532:65532
say "wrote $out: raywarden:$version, $(stat -c %s "$out") bytes"
