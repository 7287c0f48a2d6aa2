#!/usr/bin/env bash
# KubeRay on the node, of the pinned module and unmodified.
#
#   kuberay.sh test SUITE [REGEX]   its suite (e2e, e2eautoscaler, sampleyaml), or those tests of it
#                                   AT_ONCE of them (default 3)
#   kuberay.sh crds                 its CRDs
#   kuberay.sh up | down            its operator, as a process beside the node
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl

# built PROGRAM: its path
built() {
  "$root/tests/tools/build.sh" --print "$1" | sed -n "s/^$(tr a-z.- A-Z__ <<<"$1")=//p"
}

# crds: its kinds; a RayCluster CRD that is there stays
crds() {
  local module file
  module=$("$root/tests/tools/build.sh" --print | sed -n 's/^KUBERAY_DIR=//p')
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

leads() { "$kubectl" get lease ray-operator-leader --namespace kuberay-system -o jsonpath='{.spec.holderIdentity}' | grep -q .; }

case ${1:-} in
  test)
    binary=$(built "$2.test")
    "$here/suite.py" "$binary" --kubectl "$kubectl" --image "$ray_image" --out "$logs/suites/$2" --only "${3:-.}" --at-once "${AT_ONCE:-3}"
    ;;
  crds) crds ;;
  up) up ;;
  down)
    end kuberay-operator
    # Else it counts as alive for a minute more.
    "$kubectl" delete lease ray-operator-leader --namespace kuberay-system --ignore-not-found >/dev/null
    ;;
  *) die "usage: kuberay.sh test SUITE [REGEX] | crds | up | down" ;;
esac
