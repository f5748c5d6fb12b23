# Every target sets up what it needs (scripts/setup.sh) and can be run again.
#   make run ARGS="--input rtsp://…"   the whole thing in one process
#   make test                          what CI runs
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run test lint bench soak faults fuzz images setup-run setup-test clean-tools

# Starts minutes sooner than an optimised build and carries a handful of
# cameras; `make run PROFILE=release` is for staying.
PROFILE ?= dev
ARGS ?=

help:
	@echo 'make run [ARGS="…"] [PROFILE=release]   video in the browser, one process'
	@echo 'make test                               everything CI runs'
	@echo 'make lint                               formatting, clippy, types, scripts, YAML, Dockerfiles'
	@for t in bench soak faults fuzz images; do [ -x scripts/$$t.sh ] && echo "make $$t"; done; true

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

run: setup-run
	cargo run --quiet --profile $(PROFILE) --package fanlight -- $(ARGS)

test: setup-test
	@scripts/test.sh

lint: setup-test
	@scripts/lint.sh

soak: setup-test
	@scripts/soak.sh

faults: setup-test
	@scripts/faults.sh

fuzz: setup-test
	@scripts/fuzz.sh

images:
	@scripts/setup.sh images
	@scripts/images.sh

clean-tools:
	rm -rf .tools .venv tests/browser/node_modules services/edge/web/node_modules
