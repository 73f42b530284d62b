# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make` lists the targets. Every target does its own set-up and can be interrupted and started again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# More options for ansible-playbook, for example: make blue_green ARGS=-v
ARGS ?=
# How many pairs of runs a bench makes.
PAIRS ?= 3

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/trustmesh
LINK := .ansible/collections/ansible_collections/trustmesh/spiffe

# The Python that makes the virtual environment is one from outside of it.
PYTHON ?= $(shell PATH="$(subst $(BIN):,,$(PATH))" command -v python3)
export PATH := $(BIN):$(PATH)
# By name, because Ansible leaves out an ansible.cfg in a folder that everybody may write to.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

# Container engines and system packages need root. Others than root get it by sudo, with their own PATH and home.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
SUDO := $(if $(ROOT),$(ROOT) env "PATH=$$PATH" "HOME=$$HOME" "ANSIBLE_CONFIG=$$ANSIBLE_CONFIG" $(if $(XDG_CACHE_HOME),"XDG_CACHE_HOME=$(XDG_CACHE_HOME)"))

# The virtual environment is made again when what is in it was made for other requirements or another Python.
hash = $(shell { cat $(1) 2>/dev/null; $(PYTHON) -V 2>&1; } | sha256sum | cut -c1-16)
READY := $(VENV)/.ready-$(call hash,requirements.txt)
READY_DEV := $(VENV)/.ready-dev-$(call hash,requirements.txt requirements-dev.txt)
# It is there while pip works: an environment that was left half made is thrown away.
UNFINISHED := $(VENV)/.unfinished

# The scenarios are the inventories. `down`, `verify` and `show` take one by name: make down SCENARIO=blue_green
SCENARIOS := $(notdir $(wildcard inventories/*))
SCENARIO ?= blue_green
# What tests, drills and benches name their clusters after.
INSTANCES := tm-test tm-drill tm-bench

SUITES := lint unit sanity integration molecule

.PHONY: help setup setup-dev link $(SCENARIOS) down verify show clean test $(SUITES) build bench bench_entries drill

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "Scenarios, for make <name> and for SCENARIO=<name>: $(SCENARIOS)"

blue_green: ## Two clusters, from nothing to a verified quote: needs root or sudo
$(SCENARIOS): %: setup
	$(SUDO) ansible-playbook playbooks/$@.yml $(ARGS)

down: setup ## Tear a scenario down: clusters, network, kubeconfigs
	$(SUDO) ansible-playbook playbooks/teardown.yml -e trustmesh_scenario=$(SCENARIO) $(ARGS)

verify: setup ## The proof of a running scenario alone: nothing is changed
	$(SUDO) ansible-playbook playbooks/verify.yml -e trustmesh_scenario=$(SCENARIO) $(ARGS)

show: setup ## What follows from the inventory of a scenario: nothing is contacted
	@ansible-playbook playbooks/show.yml -e trustmesh_scenario=$(SCENARIO) $(ARGS)

# The clusters of tests and benches are torn down too: a run that was killed may have left them.
clean: ## Tear down and also remove all caches: build/, .venv, .ansible and what was built below ~/.cache/trustmesh
	@if [ -d build ] || [ -d $(VENV) ]; then $(MAKE) down SCENARIO=blue_green; fi
	@for instance in $(INSTANCES); do \
		if [ -d build/$$instance ]; then $(MAKE) down SCENARIO=blue_green \
			ARGS="-e trustmesh_instance=$$instance -e kubernetes_cluster_adopt=true"; fi; done
	@if [ -x $(VENV)/bin/ansible-playbook ]; then $(SUDO) ansible-playbook playbooks/clean.yml $(ARGS); fi
	@if [ -d "$(CACHE)" ]; then $(ROOT) chmod -R u+w "$(CACHE)"; fi
	$(ROOT) rm -rf build "$(CACHE)"
	$(ROOT) rm -rf $(VENV) .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis
	$(ROOT) find . -name __pycache__ -type d -prune -exec rm -rf {} +

test: setup-dev ## All tests: lint, unit, sanity, integration, molecule
	@python tests/run.py

lint: setup-dev ## ansible-lint, yamllint, ruff, mypy
unit: setup-dev ## Tests of the pure code, and the house rules
sanity: setup-dev ## ansible-test sanity on a copy of the tracked files
integration: setup-dev ## Tests with real spire-server and spire-agent processes
molecule: setup-dev ## The scenarios on clusters of their own, with harm and idempotence
$(SUITES):
	@python tests/run.py $@

build: setup ## The collection's artifact, for ansible-galaxy collection install
	mkdir -p build
	ansible-galaxy collection build --force --output-path build

bench: setup ## From no clusters to the quote: the playbook against a plain parallel shell script
	$(SUDO) python bench/zero_to_quote.py --pairs $(PAIRS)

bench_entries: setup ## Registration entries at scale: tasks against the bare command
	$(SUDO) ansible-playbook playbooks/toolchain.yml
	python bench/entries.py

drill: setup ## Kill the playbook at many moments and see that it converges
	$(SUDO) python tests/drills/interrupt.py

setup: $(READY) link ## The virtual environment with what the playbooks need
setup-dev: $(READY_DEV) link ## The same, with what the tests need on top

link: ## The link by which Ansible finds this checkout as trustmesh.spiffe
	@mkdir -p $(dir $(LINK))
	@if [ -e $(LINK) ] && [ ! -L $(LINK) ]; then \
		echo "$(LINK) is a folder. It hides this checkout from Ansible: remove it, then run make again." >&2; exit 1; fi
	@ln -sfn ../../../.. $(LINK)
	@mkdir -p build/reports

$(READY): $(if $(wildcard $(UNFINISHED)),again)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Ansible needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Installing python3-venv"; \
		$(ROOT) apt-get -qq update && \
		$(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null; }
	@echo "Making $(VENV) from requirements.txt"
	@rm -rf $(VENV) && mkdir $(VENV) && touch $(UNFINISHED)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@rm $(UNFINISHED) && touch $@

$(READY_DEV): $(READY)
	@echo "Adding requirements-dev.txt to $(VENV)"
	@touch $(UNFINISHED)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@rm -f $(UNFINISHED) $(VENV)/.ready-dev-* && touch $@

.PHONY: again
again:
