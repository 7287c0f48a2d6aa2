#!/usr/bin/env bash
# Whether this machine can run a node. Exit code 0: yes. 77: no, for a feature of the kernel that is
# named. 1: no, for another reason; with CI=true that is a failure, and so it is told apart.
set -euo pipefail

lacks() { echo "skipped: the kernel lacks $*"; exit 77; }
cannot() {
  if [ "${CI:-}" = true ]; then echo "failed: $*" >&2; else echo "skipped: $*"; fi
  exit 1
}

[ "$(uname -s)" = Linux ] || cannot "a node needs Linux"
[ "$(id -u)" = 0 ] || cannot "a node needs root"
command -v apt-get >/dev/null || cannot "containerd, runc and the network plugins come from Debian, and apt-get is missing"
for tool in ip unshare; do command -v "$tool" >/dev/null || cannot "$tool is missing: apt-get install iproute2 util-linux"; done

unshare --net true 2>/dev/null || lacks "network namespaces"
unshare --mount true 2>/dev/null || lacks "mount namespaces"
unshare --net ip link add test0 type bridge 2>/dev/null || lacks "bridges (bridge)"
unshare --net ip link add test0 type veth peer name test1 2>/dev/null || lacks "pairs of network devices (veth)"

over=$(mktemp -d)
trap 'rm -rf "$over"' EXIT
mkdir "$over"/{lower,upper,work,all}
# The scratch folder may itself be an overlay, on which none can be laid: a tmpfs under it tells.
unshare --mount sh -c 'mount -t tmpfs none "$1" && mkdir "$1"/lower "$1"/upper "$1"/work "$1"/all &&
  mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" none "$1/all"' - "$over" 2>/dev/null ||
  lacks "layered file systems (overlay)"
[ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/memory ] || lacks "control groups (cgroup)"
if command -v iptables >/dev/null; then
  unshare --net iptables -t nat -L -n >/dev/null 2>&1 || lacks "address translation (iptables nat)"
fi
