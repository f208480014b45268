# make demo    see it run: no key, no network, nothing to configure
# make test    everything: the specification, then the real Python and Node SDKs and a llama.cpp server
# make release the program as it is released: what runs lies together in it (benches/release)
# make bench   Keyway beside nginx, bare hyper and a direct call, as paired ratios (benches/README.md)
# make lint    formatting, clippy, and the dependency rules of deny.toml
#
# Needed beforehand: Rust and python3. On Debian and Ubuntu the rest is fetched (as root, or with sudo).

.DEFAULT_GOAL := demo
.PHONY: demo test lint spec sdk soak release bench build linker postgres
# Cargo would take its number of jobs from a make that runs two: it may have every processor.
CARGO := env -u MAKEFLAGS -u MFLAGS cargo
BUILT := $(abspath $(or $(CARGO_TARGET_DIR),target))/ci/keyway
SDKS := .venv/.as-pinned

# The plain development build: on two cores it is there in under a minute, the tests' profile takes three times as long
# and the release's link-time optimisation longer still. A demo has no load that would show the difference.
demo: linker
	$(CARGO) run --locked -- demo $(DEMO)

# Compiling keeps the processors busy and fetching the SDKs the network, so both go at once.
test: linker postgres
	@$(MAKE) --no-print-directory -j2 build $(SDKS)
	@$(MAKE) --no-print-directory spec sdk soak

build:
	$(CARGO) test --profile ci --locked --tests --no-run

spec: build postgres
	$(CARGO) test --profile ci --locked --tests

# One after the other with `spec`, not beside it: both hold the gateway to times.
sdk: build $(SDKS)
	cd tests/sdk && KEYWAY_BIN=$(BUILT) ../../.venv/bin/python -m pytest

$(SDKS): tests/sdk/prepare tests/sdk/requirements.txt tests/sdk/node/package-lock.json
	tests/sdk/prepare
	@touch $@

lint: linker
	@$(CARGO) clippy --version >/dev/null 2>&1 || rustup component add clippy rustfmt
	$(CARGO) fmt --all --check
	$(CARGO) clippy --profile ci --locked --all-targets -- -D warnings
	$(CARGO) fetch --locked
	python3 tests/deny.py

# A short one: mixed load with clients that leave, and memory that must not grow. `benches/soak` runs ten minutes.
soak: build
	benches/soak --minutes 0.4 --keyway $(BUILT) --no-keep

release: linker
	benches/release

bench: linker
	benches/run

# rustc links through the C compiler, and two of our crates bring C of their own.
linker:
	@command -v cc >/dev/null || .ci/apt build-essential

# The tests start one of their own, on a free port, and end it; the system's is not touched.
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || .ci/apt postgresql
