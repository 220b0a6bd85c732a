# make help lists the targets. Everything is built with one profile (release): what one target
# compiled, the next one uses.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(HOME)/.cargo/bin:$(PATH)

BIN := target/release/mattebox
OUT ?= output

setups := build demo kafka demo-kafka spark demo-spark test bench
.DEFAULT_GOAL := help
.PHONY: help build demo demo-kafka demo-live demo-spark wheel test test-browser test-python
.PHONY: test-compose test-streaming docs lint fmt bench model doctor clean kafka $(setups:%=setup-%)

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

$(setups:%=setup-%): setup-%:
	@scripts/setup $*

model: setup-build ## Download the networks that the build embeds (pinned by SHA-256)
	@scripts/get-model

build: model ## Build the mattebox binary
	cargo build --release --locked --bin mattebox

demo: setup-demo build ## Replace the background of the sample clip: output/demo.png
	$(BIN) run samples/person.mp4 --camera-id cam01 --out $(OUT) --on-existing overwrite
	@scripts/contact-sheet $(OUT)/cam01 $(OUT)/demo.png
	@echo "look at $(OUT)/demo.png, or at the frames in $(OUT)/cam01/"

demo-kafka: setup-demo-kafka build ## Send the sample clip through Kafka to two workers
	@scripts/demo-kafka $(OUT)/kafka

demo-live: setup-demo build ## Show four cameras on http://127.0.0.1:9480/ until Ctrl-C
	@scripts/demo-live $(ARGS)

demo-spark: setup-demo-spark build ## Send the sample clip through Kafka to a Spark job
	@scripts/python-module
	@scripts/demo-spark $(OUT)/spark

wheel: setup-spark model ## Build the Python wheel, with Spark's jar inside, into target/wheels
	@scripts/wheel

test: setup-test model lint ## Run all checks and tests
	@scripts/kafka fetch
	@scripts/onnx >/dev/null
	cargo test --release --locked --workspace --lib --bins
	RUST_TEST_THREADS=$$(($$(nproc) * 2)) cargo test --release --locked --workspace --test '*'
	cargo test --release --locked --workspace --doc
	@scripts/test-browser
	@scripts/test-python

test-browser: setup-test build ## Test the live page in browsers, its API, and the metrics
	@scripts/test-browser

test-python: setup-test build ## Test the Python package and Spark
	@scripts/test-python

test-compose: setup-test build ## Test the Docker Compose stack (not part of test)
	@scripts/test-compose $(ARGS)

test-streaming: setup-test build ## Test streaming by go2rtc; needs Go (not part of test)
	@scripts/test-streaming $(ARGS)

docs: setup-build ## Build the documentation into target/book and check its links
	@scripts/check-docs

lint: model ## Check formatting, clippy, ruff, licences, advisories, links of the docs
	@scripts/lint

fmt: ## Format the code
	cargo fmt --all
	"$$(scripts/get-tool ruff)" format --quiet

bench: setup-bench model ## Compare speed with other programs (downloads 1.4 GB; 9 minutes)
	@scripts/bench-peers
	cargo build --release --locked --workspace --examples
	.cache/bench-venv/bin/python bench/compare.py $(ARGS)
	$(if $(findstring --only,$(ARGS)),,bench/scaling.py $(filter --docs --quick,$(ARGS)))
	$(if $(findstring --only,$(ARGS)),,.cache/bench-venv/bin/python bench/whole_way.py)

kafka: setup-kafka ## Run a Kafka broker on 127.0.0.1:9092 until Ctrl-C; it keeps its data
	@scripts/kafka run .cache/broker --port 9092 --set auto.create.topics.enable=true $(ARGS)

doctor: build ## Check this machine and say how to install what is missing
	$(BIN) doctor

clean: ## Remove build results, .cache and the demo's output
	cargo clean
	rm -rf $(OUT) .cache
