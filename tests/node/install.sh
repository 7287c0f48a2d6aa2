#!/usr/bin/env bash
# Installs raywarden on the node from its own manifests, as an administrator does, and waits until it
# is asked.
#
#   install.sh standalone|suites|auto|none
#
# standalone  with raywarden's RayCluster CRD, unless one is there, and --node-manager raywarden
# suites      standalone, and a worker is replaced only when it is gone: a test of KubeRay's, for which
#             its operator needs a feature gate too, deletes a worker and asks for unique indices at once
# auto        as it comes, beside whoever is there
# none        takes raywarden away again
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl

# filled: whether both webhook configurations say something
filled() {
  local kind
  for kind in mutatingwebhookconfiguration validatingwebhookconfiguration; do
    "$kubectl" get "$kind" raywarden -o jsonpath='{.webhooks[0].clientConfig.caBundle}' | grep -q . || return 1
  done
}

# asked: whether the API server asks the webhook, by a file that it refuses
asked() { ! "$kubectl" create --dry-run=server -f "$root/tests/demo/bad.yaml" 2>&1 | grep -q created; }

# replaces_after_gone =true|-: sets or takes back what the suites need
replaces_after_gone() {
  "$kubectl" -n raywarden-system set env deployment/raywarden "RAYWARDEN_REPLACE_AFTER_GONE$1" >/dev/null
}

started=$SECONDS
case ${1:-} in
  standalone | suites)
    "$kubectl" get crd rayclusters.ray.io >/dev/null 2>&1 ||
      "$kubectl" apply --server-side -f "$root/deploy/crd/raycluster.yaml" >/dev/null
    within 30 "RayClusters are served" "$kubectl" get rayclusters
    "$kubectl" apply -k "$root/deploy/standalone" >/dev/null
    if [ "$1" = suites ]; then replaces_after_gone =true; else replaces_after_gone -; fi
    ;;
  auto)
    "$kubectl" apply -k "$root/deploy" >/dev/null
    replaces_after_gone -
    ;;
  none)
    "$kubectl" delete -k "$root/deploy" --ignore-not-found --timeout=120s >/dev/null
    say "raywarden is gone"
    exit
    ;;
  *) die "usage: install.sh standalone|suites|auto|none" ;;
esac
"$kubectl" -n raywarden-system rollout status deployment/raywarden --timeout=120s >/dev/null ||
  { "$kubectl" -n raywarden-system describe pods >&2; die "raywarden does not become ready"; }
within 30 "the registration is filled" filled
within 30 "the webhook is asked" asked
say "raywarden $version is asked, ${1}: $((SECONDS - started)) s"
