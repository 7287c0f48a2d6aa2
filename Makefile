# Everything is set up by the targets themselves: Rust, Go and Python are enough.
# CONTEXT=name  make demo on a cluster that you have, building none.

CARGO ?= cargo
FUZZ_SECONDS ?= 30

.PHONY: e2e e2e-up e2e-down e2e-full image demo test lint fuzz generate golden bench bench-admission bench-api bench-audit bench-cli bench-controller bench-node clean help

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## the main job, visibly: review and audit offline, then a real API server and kubectl
	@$(CARGO) build --quiet
	@tests/demo.sh target/debug/raywarden

test: ## all tests, the real API server and kubectl included
	tests/tools/build.sh
	tests/ray/venv.sh >/dev/null
	tests/tools/chromium.sh >/dev/null
	tests/page/axe.sh >/dev/null
	$(CARGO) test

e2e: ## the autoscaler walkthrough on a real Kubernetes node with real Ray (root, Linux)
	tests/node/e2e.sh

e2e-full: ## the same, and KubeRay's own suites (over an hour)
	tests/node/e2e.sh full

e2e-up: ## a real node with raywarden on it, to play with (root, Linux)
	@tests/node/able.sh
	tests/node/up.sh
	tests/node/install.sh standalone

e2e-down: ## take that node down; its caches stay
	tests/node/down.sh

image: ## the container image as an OCI archive, target/raywarden.tar
	tests/tools/image.sh

lint: ## formatting, clippy as configured, docs, one crypto provider
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --quiet
	@if $(CARGO) tree -i aws-lc-rs >/dev/null 2>&1; then echo "aws-lc-rs is in the graph: one provider only" >&2; exit 1; fi

fuzz: ## fuzz the review entry for FUZZ_SECONDS
	@tests/tools/fuzz.sh $(FUZZ_SECONDS)

generate: ## make the manifests and the embedded schema anew
	tests/tools/generate.sh

golden: ## rewrite the golden files after an intended change
	UPDATE_GOLDEN=1 $(CARGO) test

bench: ## figures of the engine, five rounds
	tests/bench/engine.py --out benches/engine.json

bench-admission: ## the webhook's own time in the API server, beside a floor
	$(CARGO) build --release
	tests/bench/admission.py --bin target/release/raywarden --out benches/admission.json

bench-api: ## the scaling API: 500 reads and 100 scales a second, then 10,000 scales of one cluster; fails where a claim does
	$(CARGO) build --release --bin raywarden --example load
	tests/bench/api.py --bin target/release/raywarden --load target/release/examples/load --out benches/api.json

bench-audit: ## ten thousand stored clusters audited from outside and by the controller (10 minutes); fails where a claim does
	$(CARGO) build --release
	tests/bench/audit.py --bin target/release/raywarden --out benches/audit.json

bench-cli: ## start to answer, a thousand manifests, resident memory
	$(CARGO) build --release
	tests/bench/cli.py --bin target/release/raywarden --out benches/cli.json

bench-controller: ## a thousand clusters at once on a real API server, then peace (13 minutes)
	$(CARGO) build --release
	tests/bench/controller.py --bin target/release/raywarden --out benches/controller.json

bench-node: ## request_resources to joined on a real node, raywarden and KubeRay in turns (root, 15 minutes)
	tests/node/e2e.sh race

clean: ## what cargo built; the control plane's cache stays
	$(CARGO) clean
