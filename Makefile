# make help lists the targets. Everything is built with one profile (release): what one target
# compiled, the next one uses.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(HOME)/.cargo/bin:$(PATH)

BIN := target/release/mattebox
OUT ?= output

.DEFAULT_GOAL := help
.PHONY: help build demo demo-kafka demo-live demo-spark wheel test test-browser test-python test-compose test-streaming docs lint fmt bench model doctor clean kafka setup-build setup-demo setup-kafka setup-demo-kafka setup-spark setup-demo-spark setup-test setup-bench

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup-build setup-demo setup-kafka setup-demo-kafka setup-spark setup-demo-spark setup-test setup-bench: setup-%:
	@scripts/setup $*

model: setup-build ## Get the networks that the build embeds (pinned, SHA-256 checked)
	@scripts/get-model

build: model ## Build the mattebox binary
	cargo build --release --locked --bin mattebox

demo: setup-demo build ## Replace the background of the sample clip; look at output/demo.png
	$(BIN) run samples/person.mp4 --camera-id cam01 --out $(OUT) --on-existing overwrite
	@scripts/contact-sheet $(OUT)/cam01 $(OUT)/demo.png
	@echo "look at $(OUT)/demo.png, or at the frames in $(OUT)/cam01/"

demo-kafka: setup-demo-kafka build ## The same through a Kafka broker, with a camera and workers; look at output/kafka/demo.png
	@scripts/demo-kafka $(OUT)/kafka

demo-live: setup-demo build ## The live page with four cameras, at http://127.0.0.1:9480/ until Ctrl-C
	@scripts/demo-live $(ARGS)

demo-spark: setup-demo-spark build ## The same with Spark: a master, a worker and a job on this machine; look at output/spark/demo.png
	@scripts/python-module
	@scripts/demo-spark $(OUT)/spark

wheel: setup-spark model ## Build the Python wheel, with the jar for Spark inside; it is in target/wheels
	@scripts/wheel

test: setup-test model lint ## Run every check and test
	@scripts/kafka fetch
	@scripts/onnx >/dev/null
	cargo test --release --locked --workspace
	@scripts/test-browser
	@scripts/test-python

test-browser: setup-test build ## The live page in a browser, its API, its limits, and what Prometheus makes of its numbers
	@scripts/test-browser

test-python: setup-test build ## Python and Spark: build the wheel, install it and run its tests
	@scripts/test-python

test-compose: setup-test build ## Docker Compose: build the images, bring the stack up, kill parts of it, compare all files (not part of test)
	@scripts/test-compose $(ARGS)

test-streaming: setup-test build ## The streaming recipe: mattebox, go2rtc (built with Go 1.20 or newer, which must be here) and Chromium (not part of test)
	@scripts/test-streaming $(ARGS)

docs: setup-build ## Build the documentation as a website into target/book and check its links
	@scripts/check-docs

lint: model ## Formatting, clippy with warnings denied, licences, advisories, links of the documentation
	@scripts/lint

fmt: ## Format the code
	cargo fmt --all
	"$$(scripts/get-tool ruff)" format --quiet

bench: setup-bench model ## Compare with LiteRT, ONNX Runtime, OpenVINO and MediaPipe and measure scaling (pip installs 1.4 GB into .cache; 9 minutes)
	@scripts/bench-peers
	cargo build --release --locked --workspace --examples
	.cache/bench-venv/bin/python bench/compare.py $(ARGS)
	$(if $(findstring --only,$(ARGS)),,bench/scaling.py $(filter --docs --quick,$(ARGS)))
	$(if $(findstring --only,$(ARGS)),,.cache/bench-venv/bin/python bench/whole_way.py)

kafka: setup-kafka ## Run a Kafka broker on 127.0.0.1:9092 until Ctrl-C; its data stays in .cache/broker
	@scripts/kafka run .cache/broker --port 9092 --set auto.create.topics.enable=true $(ARGS)

doctor: build ## Say what is missing on this machine and how to get it
	$(BIN) doctor

clean: ## Remove what was built and the demo's output
	cargo clean
	rm -rf $(OUT) .cache
