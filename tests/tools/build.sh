#!/usr/bin/env bash
# The programs behind the tests: found where the machine has them, else built once from the modules
# pinned beside this script.
#
#   build.sh [--print] [PROGRAM...]
#
# Always those of a control plane; further ones by name: kube-controller-manager, and for a node
# kube-scheduler, kubelet, kube-proxy, coredns; KubeRay's kuberay-operator and its suites SUITE.test;
# Kueue's manager, kueue.
# Looked for in this order: KUBEBUILDER_ASSETS, the cache of earlier builds, PATH.
# --print   KEY=value lines on standard output, safe for `eval`; progress goes to standard error
# RAYWARDEN_CACHE   where builds are kept (default: raywarden in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RAYWARDEN_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or RAYWARDEN_CACHE}/.cache}/raywarden}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
readonly here cache build_limit=1800 progress_every=10

# The caller's own Go settings must not decide what gets built.
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# pinned TOOL MODULE: the version its go.mod requires, without the v
pinned() { awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { print substr($2, 2); exit }' "$here/$1/go.mod"; }

kubernetes=$(pinned kubernetes k8s.io/kubernetes)
etcd=$(pinned etcd go.etcd.io/etcd/server/v3)
# drawn TOOL: the state of a program that is written here
drawn() { cat "$here/$1"/{go.mod,main.go} | cksum | cut -d' ' -f1; }
pki=$(drawn pki)
coredns=$(drawn coredns)
kuberay=$(pinned kuberay github.com/ray-project/kuberay/ray-operator)
kueue=$(pinned kueue sigs.k8s.io/kueue)
readonly kubernetes etcd pki coredns kuberay kueue

# home PROGRAM: its place in the cache; the version is part of the path, so being there is being right
home() {
  case $1 in
    etcd) echo "$cache/bin/etcd-$etcd/etcd" ;;
    pki) echo "$cache/bin/pki-$pki/pki" ;;
    coredns) echo "$cache/bin/coredns-$coredns/coredns" ;;
    kuberay-operator | *.test) echo "$cache/bin/kuberay-$kuberay/$1" ;;
    kueue) echo "$cache/bin/kueue-$kueue/kueue" ;;
    *) echo "$cache/bin/kubernetes-$kubernetes/$1" ;;
  esac
}

# usable PROGRAM FILE: a plain upstream release no older than the oldest that will do. Vendors' builds
# carry a suffix (-dispatcher, -eks-...) and behave in ways of their own.
usable() {
  local version floor=30 ask=--version
  [ "$1" = kubectl ] && ask="version --client"
  [ -f "$2" ] && [ -x "$2" ] || return 1
  # shellcheck disable=SC2086
  version=$(timeout 10 "$2" $ask 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+[^ ]*' | head -n 1) || return 1
  if [ "$1" = etcd ]; then
    [[ $version =~ ^3\.([5-9]|[1-9][0-9])\.[0-9]+$ ]]
  else
    [[ $version =~ ^1\.([0-9]+)\.[0-9]+$ ]] && ((BASH_REMATCH[1] >= floor))
  fi
}

# find_program PROGRAM: its path, from wherever it is already
find_program() {
  local file
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && usable "$1" "$KUBEBUILDER_ASSETS/$1"; then
    (cd "$KUBEBUILDER_ASSETS" && echo "$PWD/$1")
    return
  fi
  file=$(home "$1")
  if [ -x "$file" ]; then
    echo "$file"
    return
  fi
  # A node is made of what is pinned: what else lies about was set up for another one.
  case $1 in coredns | kubelet | kube-proxy | kube-scheduler | kuberay-operator | kueue | *.test) return 1 ;; esac
  file=$(type -P "$1") || return 1
  usable "$1" "$file" && echo "$file"
}

# watched WHAT LOG COMMAND...: run it, with a sign of life every few seconds
watched() {
  local what=$1 log=$2 start=$SECONDS next=$progress_every elapsed
  shift 2
  "$@" >"$log" 2>&1 &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    elapsed=$((SECONDS - start))
    ((elapsed < build_limit)) || die "building $what took over $build_limit s; its output is in $log"
    if ((elapsed >= next)); then
      say "building $what: $elapsed s, $(wc -l <"$log") packages so far"
      next=$((elapsed + progress_every))
    fi
    sleep 0.2
  done
  wait "$child" || { tail -n 20 "$log" >&2; keep_work=1; die "building $what failed; all its output is in $log"; }
  child=
  say "built $what in $((SECONDS - start)) s"
}

# compile TOOL PROGRAM...: build the programs of one module and move each into place whole
compile() {
  local tool=$1 program flags="-s -w" v=k8s.io/component-base/version
  local packages=()
  shift
  for program in "$@"; do
    case $tool in
      # Clients refuse to work with a server that calls itself v0.0.0.
      kubernetes)
        packages+=("k8s.io/kubernetes/cmd/$program")
        flags="-s -w -X $v.gitVersion=v$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<<"$kubernetes")"
        flags+=" -X k8s.io/client-go/pkg/version.gitVersion=v$kubernetes"
        ;;
      etcd) packages+=(go.etcd.io/etcd/server/v3) ;;
      kuberay) packages+=(github.com/ray-project/kuberay/ray-operator) ;;
      kueue) packages+=(sigs.k8s.io/kueue/cmd/kueue) ;;
      pki | coredns) packages+=(.) ;;
    esac
  done
  # A single package may be named by its last path element (v3): give it its name here.
  local out="$work/$tool/"
  [ $# -gt 1 ] || out="$work/$tool/$1"
  mkdir -p "$work/$tool"
  watched "$*" "$work/$tool.log" \
    nice -n 5 go -C "$here/$tool" build -v -trimpath -ldflags "$flags" -o "$out" "${packages[@]}"
  for program in "$@"; do
    mkdir -p "$(dirname "$(home "$program")")"
    mv -f "$work/$tool/$program" "$(home "$program")"
  done
}

# compile_suite SUITE.test: a suite of KubeRay's, unmodified, out of its module. Its paths stay in it:
# sampleyaml finds the samples by where its own source is.
compile_suite() {
  watched "$1" "$work/$1.log" nice -n 5 go -C "$here/kuberay" test -c -o "$work/$1" \
    "github.com/ray-project/kuberay/ray-operator/test/${1%.test}"
  mkdir -p "$(dirname "$(home "$1")")"
  mv -f "$work/$1" "$(home "$1")"
}

need_go() {
  command -v go >/dev/null ||
    die "go is missing and $1. Install Go 1.26 or newer, or point KUBEBUILDER_ASSETS at etcd, kube-apiserver and kubectl"
}

missing() {
  local program
  for program in "${wanted[@]}"; do find_program "$program" >/dev/null || echo "$program"; done
}

# build_missing: one builder at a time per cache; the second one finds the work done
build_missing() {
  local program todo=() of_kubernetes=()
  need_go "$(missing | tr '\n' ' ')must be built"
  command -v flock >/dev/null || die "flock is missing: install util-linux"
  exec 9>"$cache/build.lock"
  flock -n 9 || { say "waiting for another build"; flock -w "$build_limit" 9 || die "the other build never ended"; }
  mapfile -t todo < <(missing)
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for program in "${todo[@]}"; do
    case $program in
      etcd | pki | coredns | kueue) compile "$program" "$program" ;;
      kuberay-operator) compile kuberay "$program" ;;
      *.test) compile_suite "$program" ;;
      *) of_kubernetes+=("$program") ;;
    esac
  done
  [ ${#of_kubernetes[@]} -eq 0 ] || compile kubernetes "${of_kubernetes[@]}"
  exec 9>&-
}

child='' work='' keep_work=''
clean_up() {
  [ -z "$child" ] || kill "$child" 2>/dev/null || true
  [ -z "$work" ] || [ -n "$keep_work" ] || rm -rf "$work"
}

# folder TOOL MODULE: where the sources of a pinned module are
folder() {
  need_go "the files of $2 must be downloaded"
  local answer
  answer=$(go -C "$here/$1" mod download -json "$2") || die "$2 could not be downloaded: $answer"
  sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p' <<<"$answer"
}

print=''
wanted=(etcd kube-apiserver kubectl pki)
for argument in "$@"; do
  case $argument in
    --print) print=1 ;;
    kube-controller-manager | kube-scheduler | kubelet | kube-proxy | coredns | kuberay-operator | kueue) wanted+=("$argument") ;;
    e2e.test | e2eautoscaler.test | sampleyaml.test) wanted+=("$argument") ;;
    *) die "unknown argument $argument; usage: build.sh [--print] [PROGRAM...]" ;;
  esac
done

[ -z "$(missing)" ] || build_missing
module=$(folder kuberay github.com/ray-project/kuberay/ray-operator)
if [ -n "$print" ]; then
  for program in "${wanted[@]}"; do
    printf '%s=%q\n' "$(tr a-z.- A-Z__ <<<"$program")" "$(find_program "$program")"
  done
  printf 'KUBERAY_DIR=%q\n' "$module"
  if [[ " ${wanted[*]} " = *" kueue "* ]]; then printf 'KUEUE_DIR=%q\n' "$(folder kueue sigs.k8s.io/kueue)"; fi
fi
