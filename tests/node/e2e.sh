#!/usr/bin/env bash
# The suites on a real node: brings it up, installs raywarden, runs, and takes all down whatever came
# of it. Every suite prints one line per test; the last line counts.
#
#   e2e.sh          the walkthrough, with raywarden as node manager and beside KubeRay's operator
#   e2e.sh full     and what KubeRay's own suites say of RayClusters, under both, and a rolling restart
#                   under load, Kueue, and life beside KubeRay. What failed in a suite of KubeRay's runs once
#                   more under KubeRay alone: a test that fails there too
#                   is left out, and its log kept.
#   e2e.sh race     no suite: how long workers take to join, raywarden and KubeRay in turns
#
# ONLY        of KubeRay's suites only the tests whose names this regular expression finds
# KEEP_LOGS   where logs go when something failed or was left out (default: target/e2e)
# shellcheck source=tests/node/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
readonly lock_limit=3600

code=0
"$here/able.sh" || code=$?
# Without the kernel's help there is nothing to test; any other reason is for people to mend.
if [ "$code" = 77 ] || { [ "$code" != 0 ] && [ "${CI:-}" != true ]; }; then
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
[ "$code" = 0 ] || exit 1

exec 8>"$NODE_DIR/lock"
flock -n 8 || { say "another run has the node"; flock -w "$lock_limit" 8 || die "the other run never ended"; }
export NODE_HELD=1

passed=0 failed=0 left_out=0
take_down() {
  local status=$?
  trap - EXIT INT TERM
  [ "$status" = 0 ] && [ "$failed" = 0 ] && [ "$left_out" = 0 ] || export KEEP_LOGS=${KEEP_LOGS:-$root/target/e2e}
  "$here/down.sh" 8>&- || status=1
  [ -z "${KEEP_LOGS:-}" ] || say "logs are in $KEEP_LOGS"
  if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
  if [ "$left_out" = 0 ]; then
    echo "$passed passed, $failed failed"
  else
    echo "$passed passed, $failed failed, $left_out left out"
  fi
  [ "$failed" = 0 ]
  exit
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# suite TITLE COMMAND...: its output, and what its closing line counts
suite() {
  local title=$1 said last
  shift
  echo "== $title"
  said=$(mktemp)
  "$@" 8>&- 2>&1 | tee "$said" || true
  last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$said" | tail -n 1) || true
  rm -f "$said"
  if [ -z "$last" ]; then
    failed=$((failed + 1))
    echo "FAILED  $title did not come to its end"
    return
  fi
  passed=$((passed + ${last%% passed*}))
  last=${last#*, }
  failed=$((failed + ${last%% failed*}))
}

# kuberays MANAGER: KubeRay's own suites
kuberays() {
  local each
  for each in e2e sampleyaml e2eautoscaler; do
    suite "KubeRay's $each, node manager $1" "$here/kuberay.sh" test "$each" "$1" "${ONLY:-.}"
  done
}

# justify: what failed in KubeRay's suites, without raywarden on the node
justify() {
  local said count
  echo "== what failed, under KubeRay alone"
  "$here/install.sh" none
  said=$(mktemp)
  "$here/kuberay.sh" again 8>&- 2>&1 | tee "$said"
  for count in $(sed -n 's/^\([0-9]*\) left out$/\1/p' "$said"); do left_out=$((left_out + count)); done
  rm -f "$said"
  failed=$((failed - left_out))
}

# sample: where KubeRay's sample of the walkthrough is
sample() { echo "$("$root/tests/tools/build.sh" --print 2>/dev/null | sed -n 's/^KUBERAY_DIR=//p')/config/samples/ray-cluster.autoscaler.yaml"; }

# walk MANAGER
walk() {
  "$here/walkthrough.py" --kubectl "$run/kubectl" --manifest "$(sample)" --image "$ray_image" --node-manager "$1"
}

# Both find their operators by themselves; the second removes KubeRay and raywarden.
queue() { "$here/kueue.py" --kubectl "$run/kubectl" --manifest "$(sample)" --image "$ray_image"; }
beside() {
  "$here/beside.py" --kubectl "$run/kubectl" --manifest "$(sample)" --image "$ray_image" \
    --archive "$images/raywarden.tar" --containerd "$socket"
}

race() {
  "$here/install.sh" auto 8>&-
  "$here/race.py" --kubectl "$run/kubectl" --manifest "$(sample)" --image "$ray_image" --out "$root/benches/node.json" 8>&-
}

full=''
[ "${1:-}" != full ] || full=redis
# Whatever an earlier run left, then a node of our own.
"$here/down.sh" 8>&-
"$here/up.sh" $full 8>&-
"$here/install.sh" standalone
if [ "${1:-}" = race ]; then
  race
  exit
fi
suite "the walkthrough, node manager raywarden" walk raywarden
if [ -n "$full" ]; then
  suite "replicas come and go" "$here/rollout.py" --kubectl "$run/kubectl" --bad "$root/tests/demo/bad.yaml"
  "$here/install.sh" suites
  kuberays raywarden
  "$here/install.sh" standalone
  suite "beside Kueue, node manager raywarden" queue
  "$here/kueue.sh" down 8>&-
fi
# On the same node a KubeRay operator starts: raywarden gives way by itself.
"$here/kuberay.sh" up 8>&-
"$here/install.sh" auto
suite "the walkthrough beside KubeRay, node manager auto" walk kuberay
if [ -n "$full" ]; then
  kuberays auto
  justify
  suite "life beside KubeRay" beside
fi
