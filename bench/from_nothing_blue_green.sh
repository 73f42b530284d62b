#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# blue_green by hand. Green's agent joins Blue's server by token.
# shellcheck source=bench/from_nothing_lib.sh
source "$(dirname "$0")/from_nothing_lib.sh"

balancer() {
  apply "$cluster.balancer"
  pools
}
spire() {
  apply "$cluster.spire_server"
  balancer
  running_server
  apply "$cluster.registrar"
  apply "$cluster.spire_agent"
}
apps() {
  apply "$cluster.apps"
  apply "$cluster.mesh"
}

network
both create "$BLUE" "$GREEN"
lap "both clusters"

mark[BLUE]=$(cluster=$BLUE address)
mark[GREEN]=$(cluster=$GREEN address)
mark[BUNDLE]=""
cluster=$GREEN balancer & one=$!
cluster=$BLUE spire & two=$!
cluster=$BLUE istio & three=$!
jobs_done $one $two $three
lap "SPIRE and Istio in blue"

mark[TOKEN]=$(cluster=$BLUE server token generate -output json -ttl 600 -spiffeID "$TOKEN_ID" | sed -n 's/.*"value": *"\([^"]*\)".*/\1/p')
cluster=$BLUE server entry create -data - -output json < "$IN/$BLUE.entries.json" > /dev/null
mark[BUNDLE]=$(cluster=$BLUE server bundle show | awk '{ printf "%s\\n", $0 }')
cluster=$GREEN apply "$GREEN.spire_agent"
both apps "$BLUE" "$GREEN"
both ready "$BLUE" "$GREEN"
lap "all workloads ready"
