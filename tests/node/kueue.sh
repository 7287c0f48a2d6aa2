#!/usr/bin/env bash
# Kueue on the node, of the pinned module: its own manifests, its manager as a Pod of an image made here.
#
#   kueue.sh up | down
#
# Differs from what it ships in: image, RayClusters as the only kind that it queues, and no API of its
# own in front of the API server, which this node could not reach it by.
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kubectl=$run/kubectl home=kueue-system overlay=$live/kueue
mkdir -p "$images"

# manifests MODULE IMAGE: the overlay over its own
manifests() {
  local each
  rm -rf "$overlay"
  mkdir -p "$overlay"
  cp -r "$1/config" "$overlay/config"
  chmod -R u+w "$overlay"
  put "$overlay/config/components/manager/controller_manager_config.yaml" <<END
apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
health: {healthProbeBindAddress: ":8081"}
metrics: {bindAddress: ":8443"}
webhook: {port: 9443}
leaderElection: {leaderElect: false}
integrations: {frameworks: [ray.io/raycluster]}
END
  put "$overlay/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [config/default]
patches:
- target: {kind: Deployment, name: kueue-controller-manager}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/image, value: "$2"}
    - {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --feature-gates=VisibilityOnDemand=false}
$(for each in v1beta1 v1beta2; do
    printf -- '- patch: "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: %s.visibility.kueue.x-k8s.io}, $patch: delete}"\n' "$each"
  done)
END
}

# image PROGRAM NAME: made once for each version, and imported
image() {
  local archive tree
  archive=$images/kueue-${2##*:}.tar
  if [ ! -s "$archive" ]; then
    tree=$(mktemp -d)
    install -m 755 "$1" "$tree/manager"
    "$root/tests/tools/oci.py" "$tree" "$archive" --name "docker.io/library/$2" --entrypoint /manager --user 65532:65532
    rm -rf "$tree"
  fi
  on_containerd images import --digests=false "$archive" >/dev/null
}

# served: whether its webhooks answer, by a queue that they have to judge
served() {
  "$kubectl" create --dry-run=server -f - <<END
{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: probe, namespace: default}, spec: {clusterQueue: probe}}
END
}

up() {
  local found started=$SECONDS
  found=$("$root/tests/tools/build.sh" --print kueue)
  eval "$(grep -E '^KUEUE(_DIR)?=' <<<"$found")"
  local name=kueue:${KUEUE_DIR##*@v}
  image "$KUEUE" "$name"
  manifests "$KUEUE_DIR" "$name"
  "$kubectl" apply --server-side -k "$overlay" >/dev/null
  "$kubectl" --namespace "$home" rollout status deployment/kueue-controller-manager --timeout=180s >/dev/null ||
    { "$kubectl" --namespace "$home" describe pods >&2; die "Kueue does not become ready"; }
  within 60 "Kueue's webhooks answer" served
  say "$name runs: $((SECONDS - started)) s"
}

case ${1:-} in
  up) up ;;
  down) "$kubectl" delete -k "$overlay" --ignore-not-found --timeout=120s >/dev/null ;;
  *) die "usage: kueue.sh up | down" ;;
esac
