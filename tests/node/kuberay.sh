#!/usr/bin/env bash
# KubeRay on the node, of the pinned module and unmodified.
#
#   kuberay.sh test SUITE [REGEX]   its suite (e2e, e2eautoscaler, sampleyaml), or those tests of it
#   kuberay.sh crds                 its CRDs
#   kuberay.sh up | down            its operator, as a process beside the node
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl

# built PROGRAM: its path
built() {
  "$root/tests/tools/build.sh" --print "$1" | sed -n "s/^$(tr a-z.- A-Z__ <<<"$1")=//p"
}

crds() {
  local module
  module=$("$root/tests/tools/build.sh" --print | sed -n 's/^KUBERAY_DIR=//p')
  "$kubectl" apply --server-side --force-conflicts -f "$module/config/crd/bases/" >/dev/null
  within 30 "KubeRay's kinds are served" "$kubectl" get rayclusters,rayjobs,rayservices
}

# The operator finds its certificate under the temporary folder; its webhook stays unregistered.
up() {
  local program scratch=$run/kuberay
  program=$(built kuberay-operator)
  crds
  mkdir -p "$scratch/k8s-webhook-server/serving-certs"
  cp "$pki/kuberay.crt" "$scratch/k8s-webhook-server/serving-certs/tls.crt"
  cp "$pki/kuberay.key" "$scratch/k8s-webhook-server/serving-certs/tls.key"
  "$kubectl" create namespace kuberay-system --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
  "$kubectl" create clusterrolebinding kuberay-operator --clusterrole=cluster-admin --user=kuberay-operator \
    --serviceaccount=kuberay-system:kuberay-operator --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
  begin kuberay-operator env TMPDIR="$scratch" KUBECONFIG="$config/kuberay.kubeconfig" POD_NAMESPACE=kuberay-system "$program" \
    --leader-election-namespace kuberay-system --use-kubernetes-proxy --metrics-addr 127.0.0.1:18080 \
    --health-probe-bind-address 127.0.0.1:18082 --feature-gates RayMultiHostIndexing=true
  within 60 "KubeRay's operator is ready" curl -fs http://127.0.0.1:18082/readyz
  say "KubeRay's operator runs"
}

case ${1:-} in
  test)
    binary=$(built "$2.test")
    "$here/suite.py" "$binary" --kubectl "$kubectl" --image "$ray_image" --out "$logs/suites/$2" --only "${3:-.}"
    ;;
  crds) crds ;;
  up) up ;;
  down) end kuberay-operator ;;
  *) die "usage: kuberay.sh test SUITE [REGEX] | crds | up | down" ;;
esac
