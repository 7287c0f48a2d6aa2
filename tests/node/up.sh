#!/usr/bin/env bash
# Brings up one real Kubernetes node on a private bridge, of programs built from their pinned modules
# and of containerd, runc and the network plugins of Debian. What runs already is left alone.
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(containerd runc containernetworking-plugins iptables conntrack debootstrap gcc libc6-dev musl-tools openssl socat curl)
readonly packages

install_packages() {
  local package missing=()
  for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  mkdir -p "$NODE_DIR"
  {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >"$NODE_DIR/apt.log" 2>&1 || die "apt-get failed: see $NODE_DIR/apt.log"
}

make_folders() {
  # What a machine that was switched off left behind names processes of an earlier life.
  local boot
  boot=$(cat /proc/sys/kernel/random/boot_id)
  [ "$(cat "$run/boot" 2>/dev/null)" = "$boot" ] || rm -rf "$live"
  mkdir -p "$pki" "$config/cni" "$logs/pods" "$run" "$data/kubelet" "$store"
  chmod 700 "$pki" "$config"
  echo "$boot" >"$run/boot"
}

make_bridge() {
  # Without an address of its own a bridge takes that of one of its Pods, and another one when that Pod
  # goes: for seconds no other Pod's answer reaches this machine then.
  ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" address 0a:58:c6:12:00:01 type bridge
  ip addr show dev "$bridge" | grep -q "inet $node_ip/" || ip addr add "$node_ip/24" dev "$bridge"
  ip link set "$bridge" up
  sysctl -qw net.ipv4.ip_forward=1
  [ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || sysctl -qw net.bridge.bridge-nf-call-iptables=1
}

# signed NAME SUBJECT [NAMES]: a certificate under the node's authority
signed() {
  [ -s "$pki/$1.crt" ] && return
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 -out "$pki/$1.crt" \
    -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${3:+subjectAltName=$3}") 2>/dev/null
}

# known NAME: a kubeconfig of whoever has that certificate
known() {
  put "$config/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "$api", certificate-authority: $pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $pki/$1.crt, client-key: $pki/$1.key}}]
contexts: [{name: node, context: {cluster: node, user: $1}}]
current-context: node
END
}

make_certificates() {
  local names=DNS:localhost,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:kubernetes.default who
  if [ ! -s "$pki/ca.crt" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -days 30 -subj /CN=node 2>/dev/null
    openssl genrsa -out "$pki/accounts.key" 2048 2>/dev/null
    openssl rsa -in "$pki/accounts.key" -pubout -out "$pki/accounts.pub" 2>/dev/null
  fi
  signed server /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$node_ip,IP:$api_service"
  signed asks-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  signed kubelet "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:$node_ip"
  signed admin /O=system:masters/CN=admin
  signed manager /CN=system:kube-controller-manager
  signed scheduler /CN=system:kube-scheduler
  signed proxy /CN=system:kube-proxy
  signed dns /CN=dns
  for who in admin manager scheduler proxy kubelet dns; do known "$who"; done
}

start_control_plane() {
  local peer=http://127.0.0.1:2380 client=http://127.0.0.1:2379
  begin etcd "$ETCD" --name one --data-dir "$data/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$client" --advertise-client-urls "$client" --listen-peer-urls "$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster "one=$peer"
  within 30 "etcd serves" curl -fs "$client/health"
  begin kube-apiserver "$KUBE_APISERVER" --etcd-servers "$client" \
    --bind-address "$node_ip" --advertise-address "$node_ip" --secure-port "$api_port" \
    --tls-cert-file "$pki/server.crt" --tls-private-key-file "$pki/server.key" --client-ca-file "$pki/ca.crt" \
    --kubelet-client-certificate "$pki/asks-kubelet.crt" --kubelet-client-key "$pki/asks-kubelet.key" \
    --kubelet-preferred-address-types InternalIP --allow-privileged \
    --service-account-key-file "$pki/accounts.pub" --service-account-signing-key-file "$pki/accounts.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local --service-cluster-ip-range "$services" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction
  within 60 "the API server serves" "$KUBECTL" get --raw /readyz
  begin kube-controller-manager "$KUBE_CONTROLLER_MANAGER" --kubeconfig "$config/manager.kubeconfig" \
    --service-account-private-key-file "$pki/accounts.key" --root-ca-file "$pki/ca.crt" \
    --use-service-account-credentials --leader-elect=false --bind-address 127.0.0.1
  begin kube-scheduler "$KUBE_SCHEDULER" --kubeconfig "$config/scheduler.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
}

start_containerd() {
  # restrict_oom_score_adj: a machine may withhold the right to lower it. No routes in ipam: the
  # plugin adds the default one itself, and fails on a second.
  put "$config/containerd.toml" <<END
version = 2
root = "$store"
state = "$run/containerd"
[grpc]
  address = "$socket"
[ttrpc]
  address = "$socket.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$config/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
  put "$config/cni/10-bridge.conflist" <<END
{"cniVersion": "1.0.0", "name": "bridge", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "$data/cni",
            "ranges": [[{"subnet": "$pods", "rangeStart": "$first_pod", "rangeEnd": "$last_pod", "gateway": "$node_ip"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
  begin containerd containerd --config "$config/containerd.toml"
  within 30 "containerd answers" on_containerd version
}

# import_images: each archive that is newer than what containerd has of it, or of which it has lost an
# image: on a full disk the kubelet removes what no Pod uses
import_images() {
  local archive known has
  for archive in "$images"/*.tar; do
    known=$store/.$(basename "$archive")
    has=$(on_containerd images ls -q)
    if [ -s "$known" ] && [ ! "$archive" -nt "$known" ] && [ -z "$(grep -vxF "$has" "$known")" ]; then continue; fi
    say "importing $(basename "$archive")"
    # Without names there would be nothing to run: the index gives them.
    on_containerd images import --digests=false "$archive" | sed -n 's/^unpacking \([^ ]*\) .*/\1/p' >"$known"
    touch -r "$archive" "$known"
  done
}

# more_cpus: a view of /sys for the kubelet alone, in which the CPUs of the machine appear under as many
# NUMA nodes as make $NODE_CPUS of them. Their numbers stay real: the kubelet writes them to its cpuset.
more_cpus() {
  local real n=0 left=$NODE_CPUS i part view=$run/cpus
  real=$(nproc --all)
  rm -rf "$view"
  while ((left > 0)); do
    part=$view/node$n
    mkdir -p "$part/hugepages"
    echo 10 >"$part/distance"
    cp /sys/devices/system/node/node0/meminfo "$part/meminfo"
    for ((i = 0; i < real && left > 0; i++, left--)); do
      mkdir -p "$part/cpu$i/topology"
      echo "$i" >"$part/cpu$i/topology/core_id"
      echo 0 >"$part/cpu$i/topology/physical_package_id"
    done
    n=$((n + 1))
  done
  printf '#!/bin/sh\nset -e\nmount --make-rprivate /sys\nmount --bind "%s" /sys/devices/system/node\nexec "$@"\n' "$view" >"$run/kubelet.sh"
}

start_kubelet() {
  put "$config/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
address: $node_ip
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
containerRuntimeEndpoint: unix://$socket
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$node_ip]
clusterDomain: cluster.local
resolvConf: /dev/null
podLogsDir: $logs/pods
healthzBindAddress: 127.0.0.1
maxPods: 200
imageGCHighThresholdPercent: 100
imageMaximumGCAge: 0s
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi, nodefs.inodesFree: 1%}
END
  # What the kubelet mounts must be seen by containerd, out of a mount namespace of its own too.
  if ! grep -q " $data/kubelet .* shared:" /proc/self/mountinfo; then
    mount --bind "$data/kubelet" "$data/kubelet"
    mount --make-shared "$data/kubelet"
  fi
  local program=("$KUBELET" --config "$config/kubelet.yaml" --kubeconfig "$config/kubelet.kubeconfig"
    --root-dir "$data/kubelet" --hostname-override "$node" --node-ip "$node_ip")
  alive kubelet || more_cpus
  begin kubelet unshare --mount --propagation unchanged sh "$run/kubelet.sh" "${program[@]}"
}

start_network() {
  put "$config/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $config/proxy.kubeconfig}
hostnameOverride: $node
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [$node_ip/32]
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
END
  put "$config/Corefile" <<END
.:53 {
  bind $node_ip
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $config/dns.kubeconfig
    pods insecure
    ttl 5
  }
  cache 5
}
END
  "$KUBECTL" apply -f "$here/dns.yaml" >/dev/null
  begin kube-proxy "$KUBE_PROXY" --config "$config/proxy.yaml"
  begin coredns "$COREDNS" -conf "$config/Corefile"
}

install_packages
exports=$(programs)
eval "$exports"
"$here/images.sh" "$@"
started=$SECONDS
make_folders
ln -sfn "$KUBECTL" "$run/kubectl"
make_bridge
make_certificates
start_control_plane
start_containerd
import_images
start_kubelet
start_network
within 60 "the node is there" "$KUBECTL" get node "$node"
"$KUBECTL" wait --for=condition=Ready "node/$node" --timeout=60s >/dev/null
within 30 "accounts are made" "$KUBECTL" get serviceaccount default
say "ready after $((SECONDS - started)) s: export KUBECONFIG=$KUBECONFIG"
