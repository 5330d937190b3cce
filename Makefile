SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help quick test proof explore check alone deny tables instructions growth controlplane demo bench bench-alone bench-cluster bench-collector

# Where cargo-deny is installed when the machine has none.
TOOLS := target/tools
DENY_VERSION := 0.20.2

# The properties look at the same cases every time here, so that a run that fails fails again. New ones are sought by
# make explore, and what it finds is stored beside the test.
SEED := 20261120

# Most tests wait for a real API server, for a watch or for a deadline, and leave the processor to others meanwhile.
THREADS := 4

# Each piece of the proof writes its figures there.
FIGURES := $(CURDIR)/target/proof

# How long make test fuzzes each of the seven targets, in seconds.
FUZZ := $(or $(FUZZ_SECONDS),$(if $(CI),10,3))

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# The same cases of the properties each time, and few of them: make test has a thousand of each.
quick: controlplane ## while you change things: format, lints, unit tests, laws with few cases, the story
	@PROPTEST_CASES=32 PROPTEST_RNG_SEED=$(SEED) RUST_TEST_THREADS=$(THREADS) tests/quick

test: check alone deny instructions growth controlplane ## everything: formatting, lints, licences, all tests, those against a real API server too
	@echo '== cargo test'
	@rm -rf $(FIGURES) && mkdir -p $(FIGURES)
	@PROOF_FIGURES=$(FIGURES) PROPTEST_RNG_SEED=$(SEED) RUST_TEST_THREADS=$(THREADS) FUZZ_SECONDS=$(FUZZ) tests/all target/logs && outcome=0 || outcome=$$?; \
	echo; echo '== what was tested'; \
	grep -E '^ +(Running|Doc-tests) |^test result: |^test .* FAILED$$' target/logs/tests.log || true; \
	grep -ohE 'NODE TESTS DID NOT RUN: .*' target/logs/tests.log | sort -u || true; \
	echo; echo '== the proof, shortened (make proof is the whole)'; \
	cargo run --locked -q -p retinue-proof -- $(FIGURES) target/logs/tests.log tests/threats.txt || outcome=1; \
	exit $$outcome

# The same pieces as in make test, as long as they can be; each takes more if asked: PROOF_EVERY=1 goes through all
# million variations (half an hour), FUZZ_SECONDS says how long each of the seven targets is fuzzed.
proof: controlplane ## the closed world, proven: a table, with zero wrong (a quarter of an hour)
	@rm -rf $(FIGURES) && mkdir -p $(FIGURES)
	@export PROOF_FIGURES=$(FIGURES) PROPTEST_RNG_SEED=$(SEED) RUST_TEST_THREADS=$(THREADS); outcome=0; \
	run() { "$$@" 2>&1 | tee -a $(FIGURES)/log || outcome=1; }; \
	echo '== every field of every kind'; \
	PROOF_EVERY=$${PROOF_EVERY:-9} run cargo test --locked --release -p retinue-proof; \
	echo '== manifests'; \
	PROOF_EVERY=1 run cargo test --locked --no-fail-fast --test manifests; \
	echo '== threats, and every field through the API server'; \
	PROOF_EVERY=1 run cargo test --locked --no-fail-fast --workspace -- threat; \
	echo '== fuzz'; \
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} fuzz/run || outcome=1; \
	echo; echo '== the proof'; \
	cargo run --locked -q -p retinue-proof -- $(FIGURES) $(FIGURES)/log tests/threats.txt || outcome=1; \
	exit $$outcome

explore: ## the laws on new cases; CASES=20000 says how many
	@PROPTEST_CASES=$${CASES:-20000} cargo test --locked -p retinue-policies --test laws

check: ## formatting and lints, no control plane needed
	@echo '== cargo fmt'
	@cargo fmt --all --check
	@echo '== cargo clippy'
	@cargo clippy --locked --workspace --all-targets -- -D warnings

# A build of the whole workspace unifies features: what one crate forgot to ask for, another may have asked for.
# And policies decides without I/O: none of what could do any is among what it is built from.
alone: ## each library by itself, and policies pure
	@echo '== each library alone'
	@for crate in retinue-policies retinue-webhooks retinue-certs; do cargo check --locked -q -p $$crate; done
	@impure=$$(cargo tree --locked -p retinue-policies -e normal --prefix none | sort -u \
	  | grep -E '^(tokio|mio|socket2|reqwest|hyper|actix-[a-z]+|kube[a-z-]*|rustls|aws-lc-rs|tracing|retinue-[a-z]+) ' | grep -v '^retinue-policies ' || true); \
	if [ -n "$$impure" ]; then echo "policies decides without I/O, yet it depends on:"; echo "$$impure"; exit 1; fi >&2

deny: ## licences, sources, banned crates
	@echo '== cargo deny'
	@export PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH"; \
	command -v cargo-deny >/dev/null || cargo install --locked --quiet --debug --no-default-features --root $(TOOLS) --target-dir $(TOOLS)/build cargo-deny@$(DENY_VERSION); \
	cargo deny --log-level error --all-features check bans licenses sources

tables: ## the tables against another API server, built from its Go modules: VERSION=1.33.13 (UPDATE_VERSIONS=1 records it)
	@test -n "$(VERSION)" || { echo "which version? make tables VERSION=1.33.13"; exit 1; } >&2
	@assets=$$(tests/controlplane/version $(VERSION)); \
	KUBEBUILDER_ASSETS=$$assets cargo test --locked --test tables -- --nocapture

instructions: ## how many instructions a verdict takes, held against what is committed (needs valgrind)
	@echo '== instructions of a verdict'
	@tests/instructions/count

growth: ## how the work of a lint and of a verdict grows with their input: a failure above n log n (needs valgrind)
	@echo '== growth of work'
	@tests/growth/run

controlplane: ## build the real control plane that tests and the demo run against (needs Go; about ten minutes, once)
	@tests/controlplane/build

demo: controlplane ## the whole story on a real API server, each command with its answer
	@cargo build --locked -q -p retinue -p retinue-story
	@bin="$${CARGO_TARGET_DIR:-target}/debug"; exec "$$bin/retinue-demo" "$$bin/retinue"

# Not in CI: timings are noise where others use the machine, and these want it to themselves. BENCHMARKS.md says what is
# measured. ARGS=--quick takes a few minutes; further arguments (-o json) go to both programs, or to the one that is named.
bench: bench-alone bench-cluster ## what a verdict costs: the webhook alone, then behind a real API server (half an hour; ARGS=--quick)

bench-alone: ## the webhook alone, beside two servers of the same stack
	@cargo build --locked -q --release -p retinue-bench
	@exec "$${CARGO_TARGET_DIR:-target}/release/retinue-bench" alone $(ARGS)

bench-cluster: controlplane ## creates, start and memory behind a real API server
	@cargo build --locked -q --release -p retinue -p retinue-bench
	@exec "$${CARGO_TARGET_DIR:-target}/release/retinue-bench-cluster" $(ARGS)

bench-collector: controlplane ## the collector with 10,000 and 100,000 dependents (an hour; ARGS="--dependents 100000" or ARGS=--quick for 10,000: these alone)
	@cargo build --locked -q --release -p retinue -p retinue-bench
	@exec "$${CARGO_TARGET_DIR:-target}/release/retinue-bench-cluster" --only collecting $(ARGS)
