#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a playbook and ends with its tasks by the time they took, the slowest first:
#   bash bench/task_times.sh playbooks/blue_green.yml [more options for ansible-playbook]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH ANSIBLE_CONFIG=$PWD/ansible.cfg
export ANSIBLE_CALLBACKS_ENABLED=ansible.posix.profile_tasks
export PROFILE_TASKS_SORT_ORDER=descending PROFILE_TASKS_TASK_OUTPUT_LIMIT=${LIMIT:-40}
exec ansible-playbook "$@"
