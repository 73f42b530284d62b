#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# mithril by hand. Both clusters go on side by side.
# shellcheck source=bench/from_nothing_lib.sh
source "$(dirname "$0")/from_nothing_lib.sh"

trust() {
  # Before the server, which would wait for it longer and longer.
  k --namespace "$SPIRE_NAMESPACE" create secret generic spire-upstream-ca --from-file="$OUT/ca" > /dev/null
  apply "$cluster.spire_server"
  pools
  running_server
  [ "$(< "$IN/$cluster.entries.json")" = '{"entries": []}' ] ||
    server entry create -data - -output json < "$IN/$cluster.entries.json" > /dev/null
  apply "$cluster.registrar"
  apply "$cluster.spire_agent"
}
all() {
  apply "$cluster.balancer"
  trust
  # Not beside it: istiod mounts the agent's folder, and the kubelet asks for one that is missing less and less often.
  istio
  apply "$cluster.mesh"
  apply "$cluster.apps"
  ready
}

network
rm -rf "$OUT/ca"
mkdir -m 0700 "$OUT/ca"
(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 365 -subj '/O=example.org/CN=Upstream CA' \
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$OUT/ca/tls.key" -out "$OUT/ca/tls.crt" 2> /dev/null)
cp "$OUT/ca/tls.crt" "$OUT/ca/ca.crt"
both create "$FOO" "$BAR"
lap "both clusters"
mark[FOO]=$(cluster=$FOO address)
mark[BAR]=$(cluster=$BAR address)
both all "$FOO" "$BAR"
lap "all workloads ready"
