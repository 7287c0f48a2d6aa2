# What the scripts of a real node share; sourced by them.
#
# Everything made lies under $NODE_DIR: caches (images, containerd's store) survive, the cluster does not.
#   RAYWARDEN_CACHE   where builds are kept (default: raywarden in the user's cache folder)
#   NODE_DIR          default: node in that cache
#   NODE_CPUS         what the kubelet reports (default 24: samples ask for a CPU per Ray container)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${RAYWARDEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or RAYWARDEN_CACHE}/.cache}/raywarden}
NODE_DIR=${NODE_DIR:-$cache/node}
NODE_CPUS=${NODE_CPUS:-24}
mkdir -p "$NODE_DIR"
NODE_DIR=$(cd "$NODE_DIR" && pwd)
readonly here root cache NODE_DIR NODE_CPUS

# images and store are caches; the rest is one cluster's, and goes with it
images=$NODE_DIR/images store=$NODE_DIR/containerd
live=$NODE_DIR/live
pki=$live/pki config=$live/config logs=$live/log run=$live/run data=$live/data
socket=$run/containerd.sock
readonly images store live pki config logs run data socket

# One private bridge; nothing outside this machine is spoken to. The range is the one for tests of
# network devices, which no real network uses.
readonly node=node1 bridge=cnirw0 node_ip=198.18.0.1 pods=198.18.0.0/24 first_pod=198.18.0.10 last_pod=198.18.0.250
readonly services=198.19.0.0/16 api_service=198.19.0.1 api_port=6443
readonly api=https://$node_ip:$api_port

ray=$(sed -n 's/^ray\[default\]==//p' "$root/tests/ray/requirements.txt")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
ray_image=localhost/ray:$ray
readonly ray version ray_image

export KUBECONFIG=$config/admin.kubeconfig KUBECTL_KUBERC=false
unset RAYWARDEN_NODE_MANAGER

say() { printf '%s node: %s\n' "$(date +%T)" "$*" >&2; }
die() { say "$*"; exit 1; }

# programs: KEY=path lines of everything that a node is made of, built where it is missing
programs() {
  "$root/tests/tools/build.sh" --print kube-controller-manager kube-scheduler kubelet kube-proxy coredns
}

on_containerd() { command ctr --address "$socket" --namespace k8s.io "$@"; }

# birth PID: when the kernel started it; nothing for a process that is gone or only waited for
birth() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# alive NAME: whether what `begin` started under NAME runs. A number used again has another birth.
alive() {
  local pid born
  [ -s "$run/$1.pid" ] || return 1
  read -r pid born <"$run/$1.pid"
  [ -n "$born" ] && [ "$(birth "$pid")" = "$born" ]
}

# begin NAME COMMAND...: run it in the background, in a group of its own, unless it runs
begin() {
  local name=$1 pid
  shift
  if alive "$name"; then return; fi
  setsid nohup "$@" >>"$logs/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  sleep 0.05
  echo "$pid $(birth "$pid")" >"$run/$name.pid"
}

# end NAME: end what `begin` started, by its number
end() {
  local pid born _
  if alive "$1"; then
    read -r pid born <"$run/$1.pid"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
    if alive "$1"; then kill -9 "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$run/$1.pid"
}

# within SECONDS WHAT COMMAND...: repeat it until it succeeds
within() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { say "gave up waiting until $what"; return 1; }
    sleep 0.2
  done
}

# put FILE: standard input becomes FILE, if that changes it: kube-proxy ends when its file is written
put() {
  local next
  next=$(mktemp "$1.XXXXXX")
  cat >"$next"
  if cmp -s "$next" "$1"; then rm -f "$next"; else mv -f "$next" "$1"; fi
}
