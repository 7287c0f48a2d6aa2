#!/usr/bin/env bash
# Ends everything that up.sh started, and takes back what it changed on this machine: mounts, bridge,
# rules of the packet filter. Caches stay. Right after a failed or half-done up.sh too.
#
#   KEEP_LOGS=FOLDER   copy the logs there first
#   NODE_HELD=1        the caller has the node for itself; anybody else is told who has it
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl

# The kubelet itself takes the Pods down, so that their mounts and networks go with them. Who makes
# Pods goes first.
empty_node() {
  alive kube-apiserver && alive kubelet && alive containerd || return 0
  local kinds=deployments,replicasets,statefulsets,daemonsets,jobs _
  {
    timeout 60 "$kubectl" delete mutatingwebhookconfigurations,validatingwebhookconfigurations --all --timeout=10s
    timeout 60 "$kubectl" delete "$kinds" --all --all-namespaces --wait=false
    for kind in rayservices rayjobs rayclusters; do
      timeout 60 "$kubectl" delete "$kind" --all --all-namespaces --wait=false
    done
    timeout 90 "$kubectl" delete pods --all --all-namespaces --grace-period=1 --timeout=60s
  } >/dev/null 2>&1 || true
  for _ in $(seq 100); do
    [ -n "$(on_containerd tasks ls -q 2>/dev/null)" ] || break
    sleep 0.2
  done
}

empty_containerd() {
  local each
  alive containerd || return 0
  for each in $(on_containerd tasks ls -q); do on_containerd tasks rm -f "$each" >/dev/null 2>&1 || true; done
  for each in $(on_containerd containers ls -q); do on_containerd containers rm "$each" >/dev/null 2>&1 || true; done
}

# end_shims: those of this containerd whose containers it no longer knows
end_shims() {
  local each line
  for each in /proc/[0-9]*; do
    line=$(tr '\0' ' ' 2>/dev/null <"$each/cmdline") || continue
    case $line in *containerd-shim-runc-v2*" -address $socket "*) kill -9 "${each#/proc/}" 2>/dev/null || true ;; esac
  done
}

# clear_rules: the chains of kube-proxy and the kubelet
clear_rules() {
  local tables table rule chain proxy
  proxy=$("$root/tests/tools/build.sh" --print kube-proxy 2>/dev/null | sed -n 's/^KUBE_PROXY=//p') || true
  [ ! -x "$proxy" ] || timeout 30 "$proxy" --cleanup >/dev/null 2>&1 || true
  for tables in iptables ip6tables; do
    command -v "$tables" >/dev/null || continue
    for table in filter nat mangle; do
      "$tables-save" -t "$table" 2>/dev/null | sed -n '/KUBE-/s/^-A/-D/p' | while read -r rule; do
        # The rules are quoted as a shell quotes.
        eval "$tables -t $table $rule" 2>/dev/null || true
      done
      "$tables-save" -t "$table" 2>/dev/null | sed -n 's/^:\(KUBE-[^ ]*\) .*/\1/p' | while read -r chain; do
        "$tables" -t "$table" -X "$chain" 2>/dev/null || true
      done
    done
  done
}

unmount_all() {
  awk -v one="$live/" -v two="$store/" 'index($5, one) == 1 || index($5, two) == 1 { print $5 }' /proc/self/mountinfo |
    sort -r | while read -r place; do umount -l "$place" 2>/dev/null || true; done
}

if [ -z "${NODE_HELD:-}" ]; then
  exec 8>"$NODE_DIR/lock"
  flock -n 8 || die "a run of e2e.sh has the node, and takes it down itself: end that run first"
fi
[ -d "$live" ] || { say "nothing is up"; exit 0; }
if [ -n "${KEEP_LOGS:-}" ]; then
  mkdir -p "$KEEP_LOGS"
  cp -r "$logs/." "$KEEP_LOGS/" 2>/dev/null || true
fi
empty_node
for each in kuberay-operator kubelet kube-proxy coredns kube-scheduler kube-controller-manager kube-apiserver etcd; do end "$each"; done
empty_containerd
end containerd
end_shims
clear_rules
unmount_all
ip link del "$bridge" 2>/dev/null || true
rm -rf "$live"
say "down"
