#!/usr/bin/env bash
# Makes anew what is checked in and generated: the embedded Kubernetes types, the CRD, the registration.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/tools/schema.py
cargo build --quiet
target/debug/raywarden generate crd >deploy/crd/raycluster.yaml
target/debug/raywarden generate crd rayclusterreport >deploy/crd/rayclusterreport.yaml
target/debug/raywarden generate crd scalelease >deploy/crd/scalelease.yaml
target/debug/raywarden generate crd rayclusterpolicy >deploy/crd/rayclusterpolicy.yaml
target/debug/raywarden generate policy >deploy/crd/scalelease-policy.yaml
target/debug/raywarden generate manifests --out deploy/webhook
git status --short -- src/schema deploy
