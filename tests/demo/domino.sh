# An act of demo.sh: what Domino's users were promised. The clusters are in a real API server, the answer
# to "who is this?" comes from identity.py.
# shellcheck shell=bash disable=SC2154  # the names come from demo.sh

cluster=ray-655cb2de368ad4624b1e7d7b
token=of-ada

title "Domino's documented example: POST /raycluster/scale to 5"
kubectl apply -f tests/data/domino/crd.yaml >/dev/null
kubectl wait --for=condition=Established crd/rayclusters.distributed-compute.dominodatalab.com >/dev/null
kubectl create namespace domino-compute >/dev/null
kubectl apply -f "$files/domino.yaml"
python3 "$files/identity.py" "$token" 5d1c >"$work/identity" &
identity_pid=$!
for _ in $(seq 100); do [ -s "$work/identity" ] && break; sleep 0.1; done
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free)
"$binary" api --domino-listen "127.0.0.1:$port" --ops-listen "127.0.0.1:$(free)" --kubeconfig "$KUBECONFIG" \
  --domino-url "http://127.0.0.1:$(cat "$work/identity")" --shutdown-delay 0s 2>"$work/api.log" &
api_pid=$!
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done

url=http://127.0.0.1:$port/raycluster
# METHOD URL TOKEN [JSON]: the status, then minimum, maximum and replicas
ask() {
  printf '%s$ %s%s\n' "$bold" "$*" "$off" >&2
  python3 "$files/request.py" "$@" | python3 -c 'import json, sys
status, _, body = sys.stdin.read().partition(" ")
spec = json.loads(body).get("spec")
counts = [spec["autoscaling"][key] for key in ("minReplicas", "maxReplicas")] + [spec["worker"]["replicas"]] if spec else []
print(status, *counts)'
}
claim "status, minimum, maximum and replicas in the answer" "200 5 6 5" \
  "$(ask POST "$url/scale" "$token" "{\"cluster_name\": \"$cluster\", \"replicas\": 5}")"
claim "and by GET" "200 5 6 5" "$(ask GET "$url/$cluster" "$token")"
claim "and as kubectl reads them" "5 6 5" "$(kubectl get "rayclusters.distributed-compute.dominodatalab.com/$cluster" \
  -n domino-compute -o 'jsonpath={.spec.autoscaling.minReplicas} {.spec.autoscaling.maxReplicas} {.spec.worker.replicas}')"
claim "the answer to a token that Domino does not know" 401 "$(ask GET "$url/$cluster" of-mallory)"
