#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# istio_spire by hand, on a cluster that is ready.
# shellcheck source=bench/from_nothing_lib.sh
source "$(dirname "$0")/from_nothing_lib.sh"

cluster=$DEMO
mark[DEMO]=$(address)
mark[BUNDLE]=""
apply "$cluster.balancer"
apply "$cluster.spire_server"
pools
running_server
[ "$(< "$IN/$cluster.entries.json")" = '{"entries": []}' ] ||
  server entry create -data - -output json < "$IN/$cluster.entries.json" > /dev/null
apply "$cluster.registrar"
apply "$cluster.spire_agent"
lap "SPIRE"
# Not beside it: istiod mounts the agent's folder, and the kubelet asks for one that is missing less and less often.
istio
lap "Istio"
apply "$cluster.mesh"
apply "$cluster.apps"
ready
lap "all workloads ready"
