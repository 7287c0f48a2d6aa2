#!/usr/bin/env bash
# KubeRay on the node, of the pinned module and unmodified.
#
#   kuberay.sh test SUITE MANAGER [REGEX]   its suite (e2e, e2eautoscaler, sampleyaml), or those tests of
#                                           it, AT_ONCE of them (default 3); MANAGER (raywarden, auto or
#                                           kuberay) is what is installed, and stands in each line
#   kuberay.sh again                        what failed so far, once more; with KubeRay alone on the node
#   kuberay.sh crds                         its CRDs
#   kuberay.sh up | down                    its operator, as a process beside the node
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl
module=$("$root/tests/tools/build.sh" --print | sed -n 's/^KUBERAY_DIR=//p')
readonly kubectl module

# built PROGRAM: its path
built() {
  "$root/tests/tools/build.sh" --print "$1" | sed -n "s/^$(tr a-z.- A-Z__ <<<"$1")=//p"
}

# crds: its kinds; a RayCluster CRD that is there stays
crds() {
  local file
  for file in "$module"/config/crd/bases/*.yaml; do
    case $file in *_rayclusters.yaml) "$kubectl" get crd rayclusters.ray.io >/dev/null 2>&1 && continue ;; esac
    "$kubectl" apply --server-side -f "$file" >/dev/null
  done
  within 30 "KubeRay's kinds are served" "$kubectl" get rayclusters,rayjobs,rayservices
}

# The operator is who it would be in a Pod of its own, so that raywarden knows it.
up() {
  local program home=kuberay-system account=kuberay-operator
  program=$(built kuberay-operator)
  crds
  "$kubectl" apply -f - >/dev/null <<END
{apiVersion: v1, kind: Namespace, metadata: {name: $home}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: $account, namespace: $home}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: $account}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: $account, namespace: $home}]
END
  put "$config/kuberay.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "$api", certificate-authority: $pki/ca.crt}}]
users: [{name: $account, user: {token: $("$kubectl" create token "$account" --namespace "$home" --duration 24h)}}]
contexts: [{name: node, context: {cluster: node, user: $account}}]
current-context: node
END
  begin kuberay-operator env KUBECONFIG="$config/kuberay.kubeconfig" POD_NAMESPACE="$home" "$program" \
    --leader-election-namespace "$home" --use-kubernetes-proxy --metrics-addr 127.0.0.1:18080 \
    --health-probe-bind-address 127.0.0.1:18082 --feature-gates RayMultiHostIndexing=true
  within 60 "KubeRay's operator is ready" curl -fs http://127.0.0.1:18082/readyz
  within 60 "KubeRay's operator leads" leads
  say "KubeRay's operator runs"
}

# also_named IMAGE NAMES: what runs under one name runs under these too
also_named() {
  local image=$1 name
  shift
  for name in "$@"; do on_containerd images tag --force "$image" "$name" >/dev/null; done
}

# volume NAME: what persistent-redis claims
volume() {
  "$kubectl" apply -f - >/dev/null <<END
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  capacity: {storage: 8Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: $data/$1, type: DirectoryOrCreate}
END
}

# suite SUITE MANAGER WORDS: whole, these words for suite.py said too. All tests of e2e and e2eautoscaler
# are about RayClusters. sampleyaml's of RayJobs and RayServices need controllers of those, which
# raywarden is not; TestRayCluster has one part per sample, and each part is a test here.
suite() {
  local suite=$1 manager=$2 binary sample words=()
  shift 2
  binary=$(built "$suite.test")
  also_named "$ray_image" docker.io/rayproject/ray:2.5{1,2}.0
  if [ "$suite" = sampleyaml ]; then
    also_named docker.io/library/redis:7.4 docker.io/library/redis:7.4.0
    volume "redis-$manager"
    for sample in $(grep -o '"ray-cluster\.[^"]*\.yaml"' "$module/test/sampleyaml/raycluster_test.go" | tr -d '"'); do
      words+=(--test "TestRayCluster/$sample")
    done
  fi
  "$here/suite.py" "$binary" --kubectl "$kubectl" --image "$ray_image" --out "$logs/suites" --manager "$manager" \
    --at-once "${AT_ONCE:-3}" "${words[@]}" "$@"
}

leads() { "$kubectl" get lease ray-operator-leader --namespace kuberay-system -o jsonpath='{.spec.holderIdentity}' | grep -q .; }

case ${1:-} in
  test) suite "$2" "$3" --only "${4:-.}" ;;
  again) for each in e2e sampleyaml e2eautoscaler; do suite "$each" kuberay --again; done ;;
  crds) crds ;;
  up) up ;;
  down)
    end kuberay-operator
    # Else it counts as alive for a minute more.
    "$kubectl" delete lease ray-operator-leader --namespace kuberay-system --ignore-not-found >/dev/null
    ;;
  *) die "usage: kuberay.sh test SUITE MANAGER [REGEX] | again | crds | up | down" ;;
esac
