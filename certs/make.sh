#!/bin/sh
# Makes an authority and a server certificate for the webhook, without openssl:
#
#   certs/make.sh [OPTIONS OF `raywarden generate certs`]
#
# Writes ca.crt, ca.key, tls.crt and tls.key into certs/out, for the names of the Service
# `raywarden` in `raywarden-system`. A second run keeps the authority and renews the certificate,
# so that the caBundle of the registration stays right. Afterwards:
#
#   kubectl -n raywarden-system create secret tls raywarden-tls \
#     --cert certs/out/tls.crt --key certs/out/tls.key
#   raywarden generate manifests --ca-file certs/out/ca.crt | kubectl apply -f -
#
# ca.key signs new certificates and belongs into no cluster. Where cert-manager runs, use
# cert-manager.yaml instead. RAYWARDEN names the binary to use.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${RAYWARDEN:-}" ]; then
    set -- "$RAYWARDEN" generate certs --out "$here/out" "$@"
elif [ -x "$here/../target/release/raywarden" ]; then
    set -- "$here/../target/release/raywarden" generate certs --out "$here/out" "$@"
elif command -v raywarden >/dev/null 2>&1; then
    set -- raywarden generate certs --out "$here/out" "$@"
else
    set -- cargo run --quiet --manifest-path "$here/../Cargo.toml" -- \
        generate certs --out "$here/out" "$@"
fi
exec "$@"
