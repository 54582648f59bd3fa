# The two commands are `make up` and `make test`; everything else serves them.
# A cargo target directory outside the clone is used when there is one, so that a fresh clone builds in seconds.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
export LETHE_SERVERS ?= $(HOME)/.cache/lethe/servers
ifndef CARGO_TARGET_DIR
ifneq ($(wildcard $(HOME)/.cache/lethe/target),)
export CARGO_TARGET_DIR := $(HOME)/.cache/lethe/target
endif
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)
PORT ?= 8080
LETHE := $(TARGET)/debug/lethe

.PHONY: help up demo test conformance planted bench schemathesis fuzz tools servers claim build lint openapi

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: build ## brings what is missing, builds, and runs the whole platform under .lethe/ until Ctrl-C
	@exec $(LETHE) dev --port $(PORT)

demo: build ## loads two tenants' chats, erases a person and proves it, on a running `make up` or on one of its own
	@exec $(LETHE) demo $(if $(DATA),--data $(DATA))

test: servers claim ## all tests, real servers included
	cargo test --workspace --locked

conformance: servers claim ## the claims of the mission as tests, and their table
	scripts/conformance

planted: servers claim ## mistakes made on purpose in a build of their own, and the test that catches each
	scripts/planted

bench: servers claim ## JOB=accept|search|erase|signed|crowd: what bench/README.md tells of
	bench/run $(or $(JOB),accept)

schemathesis: servers claim ## whatever the OpenAPI document allows and forbids, asked of a platform of its own
	scripts/schemathesis

fuzz: claim ## each parser for FUZZ_SECONDS=120 by a fuzzer; needs nightly and cargo-fuzz
	@scripts/fuzz

tools: # says what the machine lacks, before a long step fails for want of it
	@scripts/tools "$(TARGET)"

servers: tools ## PostgreSQL and nats-server, pinned by hash, without root
	@scripts/servers "$(LETHE_SERVERS)"

claim: # a target directory that another clone has built into takes that clone's sources for ours
	@scripts/claim-target "$(TARGET)"

build: servers claim
	cargo build --workspace --bins --locked

lint: claim ## what CI checks before the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

openapi: build ## writes services/gateway/openapi.json anew
	$(LETHE) openapi > services/gateway/openapi.json
