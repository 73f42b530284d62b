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
# Where make forward shows a page.
PORT ?= 8000
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

# Container engines and system packages need root. Others than root get it by sudo, with their own home, and with a PATH in
# which nobody but root can put a program, after that of the virtual environment.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
ROOT_PATH := /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
SUDO := $(if $(ROOT),$(ROOT) env "PATH=$(BIN):$(ROOT_PATH)" "HOME=$$HOME" "ANSIBLE_CONFIG=$$ANSIBLE_CONFIG" $(if $(XDG_CACHE_HOME),"XDG_CACHE_HOME=$(XDG_CACHE_HOME)"))

# The virtual environment is made again when what is in it was made for other requirements or another Python.
hash = $(shell { cat $(1) 2>/dev/null; $(PYTHON) -V 2>&1; } | sha256sum | cut -c1-16)
READY := $(VENV)/.ready-$(call hash,requirements.txt)
READY_DEV := $(VENV)/.ready-dev-$(call hash,requirements.txt requirements-dev.txt)
# Documentation is made in an environment of its own: it needs much that nothing else needs.
DOCS := build/docs/venv
READY_DOCS := $(DOCS)/.ready-$(call hash,requirements-docs.txt)
# What runs as root is what was looked at: every package by its digest, and none that runs a program to build itself.
PINNED := --quiet --disable-pip-version-check --require-hashes --only-binary :all:
# It is there while pip works: an environment that was left half made is thrown away.
UNFINISHED := $(VENV)/.unfinished

# For every Python that ansible-core of this version runs with, whatever this one is.
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --upgrade \
	--custom-compile-command 'make lock'

# Every folder of inventories is a scenario and a target. Other targets take one by name: make down SCENARIO=blue_green
SCENARIOS := $(notdir $(patsubst %/,%,$(wildcard inventories/*/)))
CHOSEN := $(or $(SCENARIO),blue_green)

ROTATED := $(or $(SCENARIO),mithril)

SUITES := lint unit sanity integration pages molecule thorough

.PHONY: help docs breadth changelog setup setup-dev link $(SCENARIOS) down verify show forward clean test $(SUITES) lock build bench bench_entries bench_tasks bench_gateways bench_proxies bench_certificate drill drill_rotation ee

help: ## List the targets
	@for name in $(SCENARIOS); do printf '  make %-14s %s\n' $$name "Scenario: from nothing to its proof; needs root or sudo"; done
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "SCENARIO=name chooses one of: $(SCENARIOS). Without it molecule takes all, and the others blue_green."

# A scenario without a playbook of its own is run by the order for any inventory.
$(SCENARIOS): setup
	$(SUDO) ansible-playbook $(firstword $(wildcard playbooks/$@.yml) playbooks/site.yml) -e trustmesh_scenario=$@ $(ARGS)

down: setup ## Tear a scenario down: clusters, network, kubeconfigs
	$(SUDO) ansible-playbook playbooks/teardown.yml -e trustmesh_scenario=$(CHOSEN) $(ARGS)

verify: setup ## The proof alone of a scenario that is up: nothing is changed
	$(SUDO) ansible-playbook playbooks/verify.yml -e trustmesh_scenario=$(CHOSEN) $(ARGS)

show: setup ## What follows from the inventory of a scenario: nothing is contacted
	@ansible-playbook playbooks/show.yml -e trustmesh_scenario=$(CHOSEN) $(ARGS)

forward: ## The page of istio_spire at http://127.0.0.1:8000/productpage, until it is interrupted
	@echo "http://127.0.0.1:$(PORT)/productpage"
	@build/bin/kubectl --kubeconfig build/clusters/demo-cluster.kubeconfig --namespace istio-system \
		port-forward service/istio-ingressgateway $(PORT):80

# Every instance leaves its kubeconfigs in a folder: a scenario's own in build/clusters, those of tests, drills and benches in
# build/<instance>/clusters. Nothing says which scenario they are of. Only that one can delete its clusters, so each is tried.
clean: ## Tear down all that is up, and remove all caches: build/, .venv, .ansible and what was built below ~/.cache/trustmesh
	@for folder in build build/*; do for scenario in $(SCENARIOS); do \
		if [ -n "$$(ls -A "$$folder/clusters" 2>/dev/null)" ]; then instance=$${folder#build}; \
			$(MAKE) down SCENARIO=$$scenario ARGS="-e trustmesh_instance=$${instance#/}" || true; fi; done; done
	@left=$$(find build -path 'build*/clusters/*' 2>/dev/null || true); if [ -n "$$left" ]; then \
		echo "These clusters are still there, and the messages above say why. Nothing else was removed:" $$left >&2; exit 1; fi
	@if [ -x $(VENV)/bin/ansible-playbook ]; then $(SUDO) ansible-playbook playbooks/clean.yml $(ARGS); fi
	@if [ -d "$(CACHE)" ]; then $(ROOT) chmod -R u+w "$(CACHE)"; fi
	$(ROOT) rm -rf build "$(CACHE)"
	$(ROOT) rm -rf $(VENV) .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis
	$(ROOT) find . -name __pycache__ -type d -prune -exec rm -rf {} +

test: setup-dev ## All tests: lint, unit, sanity, docs, integration, pages, molecule
	@python tests/run.py

lint: setup-dev ## ansible-lint, yamllint, ruff, mypy
unit: setup-dev ## Tests of the pure code, and the house rules
sanity: setup-dev ## ansible-test sanity on a copy of the tracked files
integration: setup-dev ## Tests with real spire-server and spire-agent processes
pages: setup-dev ## What the pages and examples say, done on two clusters that exist
molecule: setup-dev ## The scenarios on clusters of their own: twice, healed after harm, torn down
thorough: setup-dev ## integration, pages and scenarios whole: also what takes minutes, which make test leaves out
$(SUITES):
	@python tests/run.py $@$(if $(SCENARIO),$(if $(filter molecule,$@),:$(SCENARIO)))

docs: setup $(READY_DOCS) ## The documentation as static pages with a search: build/docs/html/index.html
	@$(DOCS)/bin/python docs/docsite/build.py

changelog: setup-dev ## CHANGELOG.rst out of all fragments, as long as its release is not published
	@python changelogs/refresh.py

# It is in no suite: an environment for each takes long to make.
breadth: setup-dev ## Unit and integration tests, and sanity, with each ansible-core that is supported
	$(SUDO) ansible-playbook playbooks/toolchain.yml
	@python tests/breadth.py

build: setup ## The collection's artifact, for ansible-galaxy collection install
	mkdir -p build
	ansible-galaxy collection build --force --output-path build

ee: setup ## The image of an execution environment, out of packages: localhost/trustmesh/ee
	$(SUDO) ansible-playbook playbooks/toolchain.yml
	$(SUDO) sh ee/build.sh podman python build/bin "$$(sed -n 's/^version: //p' galaxy.yml)"

bench: setup ## From no clusters to the first answer: a scenario's playbook against a plain parallel shell script
	$(SUDO) python bench/from_nothing.py $(CHOSEN) --pairs $(PAIRS)

bench_gateways: setup ## Requests across the gateways of federation against the same within a cluster
	$(SUDO) python bench/across_gateways.py

bench_proxies: setup ## Requests through the proxies of front_proxy against plain HTTP, with their processor time
	$(SUDO) python bench/through_proxies.py

bench_certificate: setup ## From an entry to the certificate in a sidecar, against when its agent hears of the entry
	$(SUDO) python bench/entry_to_certificate.py

bench_entries: setup ## Registration entries at scale: tasks against the bare command
	$(SUDO) ansible-playbook playbooks/toolchain.yml
	python bench/entries.py

bench_tasks: setup ## What a task of ours costs beside its work: in a fork, and as Ansible runs it
	python bench/own_tasks.py --pairs $(PAIRS)

drill: setup ## Kill a scenario's playbook at many moments and see that it converges
	$(SUDO) python tests/drills/interrupt.py $(CHOSEN)

drill_rotation: setup ## Replace authorities under traffic, those of mithril or SCENARIO=federation, and count what fails
	$(SUDO) ansible-playbook playbooks/$(ROTATED).yml -e trustmesh_instance=tm-drill -e kubernetes_cluster_adopt=true --skip-tags verify $(ARGS)
	$(SUDO) python tests/drills/rotation.py $(ROTATED)
	$(SUDO) ansible-playbook playbooks/teardown.yml -e trustmesh_scenario=$(ROTATED) -e trustmesh_instance=tm-drill

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
	@$(BIN)/pip install $(PINNED) -r requirements.txt
	@rm $(UNFINISHED) && touch $@

$(READY_DEV): $(READY)
	@echo "Adding requirements-dev.txt to $(VENV)"
	@touch $(UNFINISHED)
	@$(BIN)/pip install $(PINNED) -r requirements-dev.txt
	@rm -f $(UNFINISHED) $(VENV)/.ready-dev-* && touch $@

$(READY_DOCS):
	@echo "Making $(DOCS) from requirements-docs.txt"
	@rm -rf $(DOCS) && mkdir -p $(dir $(DOCS)) && $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/pip install $(PINNED) -r requirements-docs.txt
	@touch $@

# Its own environment: it decides what comes into the other one.
lock: ## All requirements*.txt from their .in, those of programs too: all packages below them, with their digests
	@mkdir -p build && rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@build/lock/bin/uv pip compile $(LOCKED) --output-file requirements.txt requirements.in
	@build/lock/bin/uv pip compile $(LOCKED) --constraints requirements.txt --output-file requirements-dev.txt requirements-dev.in
	@build/lock/bin/uv pip compile $(LOCKED) --constraints requirements.txt --output-file requirements-docs.txt requirements-docs.in
	@build/lock/bin/uv pip compile $(LOCKED) --constraints requirements.txt --output-file ee/requirements.txt ee/requirements.in
	@for folder in $(dir $(wildcard roles/images/files/programs/*/requirements.in)); do build/lock/bin/uv pip compile $(LOCKED) \
		--constraints requirements-dev.txt --output-file $${folder}requirements.txt $${folder}requirements.in; done
	@rm -rf build/lock

.PHONY: again
again:
