#!/usr/bin/env bash
# The images of the node as OCI archives, without a registry: pause, Ray and raywarden; with `redis`
# also the one that fault tolerance needs. Each is made once; raywarden's anew when its sources changed.
#
#   images.sh [redis]
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
mkdir -p "$images"
oci=$root/tests/tools/oci.py
readonly oci path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# mirror: the one from which this machine's own apt takes Debian (archives of updates have a dash)
mirror() {
  local found
  found=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | awk '$1 !~ /-/ { print $2; exit }')
  [ -n "$found" ] || die "apt names no mirror of Debian"
  echo "$found"
}

# system FOLDER PACKAGES: a minimal Debian with these, made whole or not at all
system() {
  local tree=$1 log=$images/$(basename "$1").log
  [ -d "$tree" ] && return
  say "Debian with $2"
  rm -rf "$tree.new"
  debootstrap --variant=minbase --include="$2" bookworm "$tree.new" "$(mirror)" >"$log" 2>&1 || die "debootstrap failed: see $log"
  rm -rf "$tree.new"/var/cache/apt/archives/*.deb "$tree.new"/var/lib/apt/lists/*
  mv "$tree.new" "$tree"
}

pause_image() {
  local tree
  [ -s "$images/pause.tar" ] && return
  tree=$(mktemp -d)
  gcc -Os -static -s -o "$tree/pause" "$here/pause.c"
  "$oci" "$tree" "$images/pause.tar" --name localhost/pause:1 --entrypoint /pause
  rm -rf "$tree"
}

# wheels: what tests/ray/requirements.txt names, for the image's Python, whatever runs here
wheels() {
  local folder=$1 log=$images/wheels.log
  [ -d "$folder" ] && return
  say "wheels of Ray $ray"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  timeout 900 python3 -m pip download --quiet --dest "$folder.new" --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_28_x86_64 \
    -r "$root/tests/ray/requirements.txt" >"$log" 2>&1 || die "pip failed: see $log"
  mv "$folder.new" "$folder"
}

# ray_tree FOLDER WHEELS: Ray in a virtual environment, installed without the network
ray_tree() {
  local tree=$1
  [ -e "$tree/opt/ray/made" ] && return
  say "installing Ray $ray into its image"
  rm -rf "$tree/opt/ray"
  mkdir -p "$tree/wheels" "$tree/home/ray"
  # In a mount namespace of its own: whatever becomes of this, nothing stays mounted.
  unshare --mount env -i PATH="$path" HOME=/root sh -euc '
    mount --bind "$1" "$2/wheels"
    chroot "$2" python3 -m venv /opt/ray
    chroot "$2" /opt/ray/bin/pip install --quiet --no-index --find-links /wheels -r /wheels/requirements.txt
    ' - "$2" "$tree" >"$images/install.log" 2>&1 || die "pip failed: see $images/install.log"
  rmdir "$tree/wheels"
  touch "$tree/opt/ray/made"
}

ray_image() {
  local tree=$images/ray-$ray packages=$images/wheels-$ray
  [ -s "$images/ray-$ray.tar" ] && return
  system "$tree" python3,python3-venv,ca-certificates,wget,procps
  wheels "$packages"
  cp "$root/tests/ray/requirements.txt" "$packages/"
  ray_tree "$tree" "$packages"
  say "packing Ray"
  # The working directory is KubeRay's: its samples are run relative to it.
  "$oci" "$tree" "$images/ray-$ray.tar" --name "$ray_image" --name "docker.io/rayproject/ray:$ray" \
    --env "PATH=/opt/ray/bin:$path" --env HOME=/home/ray --env PYTHONUNBUFFERED=1 --cmd /bin/bash --workdir /home/ray
}

redis_image() {
  [ -s "$images/redis.tar" ] && return
  system "$images/redis" redis-server,redis-tools
  mkdir -p "$images/redis/data"
  "$oci" "$images/redis" "$images/redis.tar" --name docker.io/library/redis:7.4 --env "PATH=$path" \
    --cmd redis-server --cmd=--protected-mode --cmd no --workdir /data
}

# sources: the state of everything that raywarden's image is made of
sources() { (cd "$root" && cat Cargo.lock Cargo.toml tests/tools/{image.sh,oci.py} $(find src -type f | LC_ALL=C sort)) | cksum | cut -d' ' -f1; }

raywarden_image() {
  local stamp
  stamp=$(sources)
  [ -s "$images/raywarden.tar" ] && [ "$(cat "$images/raywarden.stamp" 2>/dev/null)" = "$stamp" ] && return
  PROFILE=${PROFILE:-release-fast} "$root/tests/tools/image.sh" "$images/raywarden.tar"
  echo "$stamp" >"$images/raywarden.stamp"
}

pause_image
ray_image
raywarden_image
[ "${1:-}" != redis ] || redis_image
