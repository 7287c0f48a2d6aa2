# shellcheck shell=bash
# The act of demo.sh in which Ray itself scales; demo.sh sources it and owns what it uses: title, run,
# claim, kubectl, $kubectl_bin, $binary, $files, $work, $venv.
# The Pods run as processes of this machine (tests/ray/runner.py stands for the kubelet); their Ray,
# and the autoscaler in the sidecar, are the real ones.
scaled=default/scaling

# Names of the Pods of a type that are not on their way out, in order.
pods() {
  kubectl get pods -l "ray.io/cluster=scaling,ray.io/node-type=$1" -o go-template='{{range .items}}{{
    if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
}
workers() { pods worker | wc -l; }
asked_for() { kubectl get raycluster scaling -o 'jsonpath={.spec.workerGroupSpecs[0].replicas}'; }
state() { kubectl get raycluster scaling -o 'jsonpath={.status.state} {.status.availableWorkerReplicas}'; }
# What Ray's own book says, not Kubernetes'.
alive() {
  "$venv/bin/python" tests/ray/demand.py nodes "$(cat "$work/ray/$head/address")" |
    python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'
}
# In the head, as with `kubectl exec`. A driver of Ray has to run on one of its nodes.
in_head() {
  local user=()
  [ "$(id -u)" = 0 ] || user=(--user --preserve-credentials)
  nsenter --target "$(cat "$work/ray/$head/start.pid")" "${user[@]}" --mount --pid -- "$@"
}
demand() { in_head "$venv/bin/python" "$PWD/tests/ray/demand.py" "$1" "$(cat "$work/ray/$head/gcs")" "${@:2}"; }

# reaches WANTED COMMAND...: waits for a minute at most until the command prints WANTED
reaches() {
  local wanted=$1 found=''
  shift
  for _ in $(seq 300); do
    found=$("$@" 2>/dev/null) || true
    [ "$found" != "$wanted" ] || return 0
    sleep 0.2
  done
  echo "'$*' never became $wanted; last: $found" >&2
  tail -n 5 "$work/controller.log" "$work/runner.log" >&2
  exit 1
}

title "raywarden controller: the nodes, made by no operator but ours"
run kubectl delete raycluster demo
kubectl create namespace raywarden-system
"$binary" controller --node-manager raywarden --kubeconfig "$KUBECONFIG" --ops-listen 127.0.0.1:0 \
  2>"$work/controller.log" &
controller_pid=$!
exec {runner_in}> >(exec python3 tests/ray/runner.py --kubeconfig "$KUBECONFIG" \
  --tokens-kubeconfig "$KUBECONFIG" --namespace default --venv "$venv" --state "$work/ray" \
  --base "127.$((16 + $$ / 256 % 224)).$(($$ % 256))." >"$work/runner.log" 2>&1)
runner_pid=$!
run kubectl apply -f "$files/scaling.yaml"
reaches "ready 1" state
head=$(pods head)
claim "containers of the head Pod" "ray-head autoscaler" \
  "$(kubectl get pod "$head" -o 'jsonpath={.spec.containers[*].name}')"
claim "account of the head Pod" raywarden-scaling \
  "$(kubectl get pod "$head" -o 'jsonpath={.spec.serviceAccountName}')"
claim "Role of that account, bound to it" raywarden-scaling \
  "$(kubectl get rolebinding raywarden-scaling -o 'jsonpath={.roleRef.name}')"
claim "worker Pods of $scaled, minReplicas 1" 1 "$(workers)"
reaches 2 alive
claim "nodes that Ray calls ALIVE, the head and a worker" 2 "$(alive)"

title "A program asks Ray for 3 CPUs: ray.autoscaler.sdk.request_resources(num_cpus=3)"
first=$(pods worker)
demand request 3
reaches 3 asked_for
reaches 4 alive
claim "replicas, patched by Ray's own autoscaler" 3 "$(asked_for)"
claim "worker Pods" 3 "$(workers)"
claim "nodes that Ray calls ALIVE" 4 "$(alive)"
most=$(pods worker)
claim "the first worker, still there" "$first" "$(grep -Fx "$first" <<<"$most" || true)"

title "The demand is gone: the autoscaler names its victims, and exactly those go"
# Every list as it is stored: a later one takes the place of an earlier one.
# The program itself: killing the function would leave it.
"$kubectl_bin" get raycluster scaling --watch \
  -o 'jsonpath={.spec.workerGroupSpecs[0].scaleStrategy.workersToDelete[*]}{"\n"}' >"$work/named" &
watch_pid=$!
demand clear
reaches 1 asked_for
reaches 1 workers
reaches 2 alive
claim "replicas, back at the minimum" 1 "$(asked_for)"
claim "worker Pods" 1 "$(workers)"
claim "nodes that Ray calls ALIVE" 2 "$(alive)"
claim "Pods that went, against those in workersToDelete" \
  "$(tr ' ' '\n' <"$work/named" | sed '/^$/d' | sort -u | paste -sd' ')" \
  "$(comm -23 <(sort <<<"$most") <(pods worker | sort) | paste -sd' ')"
kill "$watch_pid"
wait "$watch_pid" || true
watch_pid=''
