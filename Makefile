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
LETHE := $(TARGET)/debug/lethe

.PHONY: help up demo test conformance bench servers build lint openapi

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: build ## brings what is missing, builds, and runs the whole platform under .lethe/ until Ctrl-C
	@exec $(LETHE) dev

demo: build ## loads two tenants' chats, erases a person and proves it, on a running `make up` or on one of its own
	@exec $(LETHE) demo $(if $(DATA),--data $(DATA))

test: servers ## all tests, real servers included
	cargo test --workspace --locked

conformance: servers ## the claims of the mission as tests, and their table
	scripts/conformance

bench: servers ## JOB=accept: accepted messages a second beside pgbench
	bench/run $(or $(JOB),accept)

servers: ## PostgreSQL and nats-server, pinned by hash, without root
	@scripts/servers "$(LETHE_SERVERS)"

build: servers
	cargo build --workspace --bins --locked

lint: ## what CI checks before the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

openapi: build ## writes services/gateway/openapi.json anew
	$(LETHE) openapi > services/gateway/openapi.json
