#!/usr/bin/env bash
# The main job, visibly. Offline first; then a real kube-apiserver with the webhook in front and the
# stock kubectl; then real Ray, scaled by its own autoscaler; then the API of Domino's users. Every line
# that claims something is read back from the API server and compared.
#   demo.sh BINARY         CONTEXT=name: look at a cluster that you have, building and changing nothing
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "$1")
files=tests/demo

if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'; else bold='' green='' red='' off=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$off"; }
run() { printf '%s$ %s%s\n' "$bold" "$*" "$off"; "$@"; }
claims=0

# claim TEXT WANTED FOUND: TEXT holds when FOUND is WANTED
claim() {
  if [ "$2" != "$3" ]; then
    printf '%s  not true:%s %s\n    wanted %s\n    found  %s\n' "$red" "$off" "$1" "$2" "$3" >&2
    exit 1
  fi
  claims=$((claims + 1))
  printf '%s  read back:%s %s: %s\n' "$green" "$off" "$1" "$2"
}

# refused COMMAND...: runs it, which must fail
refused() {
  printf '%s$ %s%s\n' "$bold" "$*" "$off"
  if "$@"; then
    echo "that should have been refused" >&2
    exit 1
  fi
}

title "Offline: what raywarden says of a sound file, and of a bad one"
run "$binary" review -f "$files/cluster.yaml" --node-manager raywarden
refused "$binary" review -f "$files/bad.yaml" --node-manager raywarden
refused "$binary" audit -f "$files/bad.yaml"

if [ -n "${CONTEXT:-}" ]; then
  title "The cluster behind context $CONTEXT, read-only"
  status=0
  run "$binary" audit --context "$CONTEXT" || status=$?
  [ "$status" -le 1 ] || exit "$status"
  echo "Nothing was installed and nothing was changed."
  exit 0
fi

title "A real API server"
tests/tools/build.sh
venv=$(tests/ray/venv.sh)
work=$(mktemp -d)
coproc PLANE { exec python3 tests/controlplane/up.py --crd=kuberay --controller-manager; }
plane_pid=$PLANE_PID
plane_in=${PLANE[1]}
webhook_pid='' controller_pid='' runner_pid='' runner_in='' watch_pid='' identity_pid='' api_pid=''
# What the acts started, in an order in which nobody waits for somebody else. The runner ends with its
# standard input, and every Ray process with it.
all_down() {
  for pid in $api_pid $identity_pid $watch_pid $controller_pid $webhook_pid; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  [ -z "$runner_in" ] || exec {runner_in}>&- || true
  [ -z "$runner_pid" ] || wait "$runner_pid" 2>/dev/null || true
  webhook_pid='' controller_pid='' runner_pid='' runner_in='' watch_pid='' identity_pid='' api_pid=''
}
finish() {
  status=$?
  all_down
  exec {plane_in}>&- || true
  wait 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
IFS= read -r -t 600 told <&"${PLANE[0]}" || { echo "the control plane did not come up" >&2; exit 1; }
field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$told" "$1"; }
kubectl_bin=$(field kubectl) KUBECONFIG=$(field kubeconfig) plane_dir=$(field dir)
export KUBECONFIG
kubectl() { "$kubectl_bin" "$@"; }
get() { kubectl get raycluster demo -o "jsonpath=$1"; }
echo "kube-apiserver answers at $(field server)"

title "The webhook, registered"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$binary" serve --listen "127.0.0.1:$port" --dev-cert-dir "$work" --node-manager raywarden \
  --shutdown-delay 0s 2>"$work/webhook.log" &
webhook_pid=$!
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
"$binary" generate manifests --url "https://127.0.0.1:$port" --ca-file "$work/ca.crt" | kubectl apply -f -
for _ in $(seq 100); do
  kubectl create --dry-run=server -o name -f "$files/bad.yaml" >/dev/null 2>"$work/probe" || true
  grep -q 'raywarden bounds' "$work/probe" && break
  sleep 0.1
done

title "kubectl apply: the sidecar, its account, the minimum"
run kubectl apply -f "$files/cluster.yaml"
containers='{.spec.headGroupSpec.template.spec.containers[*].name}'
claim "containers of the head" "ray-head autoscaler" "$(get "$containers")"
claim "account of the head" raywarden-demo "$(get '{.spec.headGroupSpec.template.spec.serviceAccountName}')"
claim "start parameter no-monitor" true "$(get '{.spec.headGroupSpec.rayStartParams.no-monitor}')"
claim "replicas, left out in the file, minReplicas 2" 2 "$(get '{.spec.workerGroupSpecs[0].replicas}')"
claim "CPU request of the sidecar" 500m "$(get '{.spec.headGroupSpec.template.spec.containers[1].resources.requests.cpu}')"

title "The same file again changes nothing"
before=$(get '{.metadata.generation} {.metadata.resourceVersion}')
run kubectl apply -f "$files/cluster.yaml"
claim "generation and resource version" "$before" "$(get '{.metadata.generation} {.metadata.resourceVersion}')"

title "Ray's autoscaler asks for more than maxReplicas: clamped, never refused"
run kubectl patch raycluster demo --type=json --as=system:serviceaccount:default:raywarden-demo \
  --as-group=system:masters -p '[{"op":"replace","path":"/spec/workerGroupSpecs/0/replicas","value":9}]'
claim "replicas after a patch to 9, maxReplicas 5" 5 "$(get '{.spec.workerGroupSpecs[0].replicas}')"

title "A bad manifest is refused, every fault at once"
refused kubectl apply -f "$files/bad.yaml"
claim "RayClusters stored" demo "$(kubectl get rayclusters -o 'jsonpath={.items[*].metadata.name}')"

title "And what runs now, audited"
run "$binary" audit --kubeconfig "$KUBECONFIG"

# shellcheck source=tests/demo/scaling.sh
. "$files/scaling.sh"

# shellcheck source=tests/demo/domino.sh
. "$files/domino.sh"

title "All down again"
ended="$api_pid $identity_pid $controller_pid $webhook_pid $runner_pid"
all_down
for pid in $ended; do
  if kill -0 "$pid" 2>/dev/null; then
    echo "process $pid still runs" >&2
    exit 1
  fi
done
exec {plane_in}>&-
wait "$plane_pid" || true
[ ! -e "$plane_dir" ] || { echo "$plane_dir is still there" >&2; exit 1; }
echo "$claims claims, each read back and true. No process and no folder is left."
