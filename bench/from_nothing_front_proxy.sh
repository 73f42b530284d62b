#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# front_proxy by hand, with a container in the place of a machine, on which there are an agent and an Envoy.
# shellcheck source=bench/from_nothing_lib.sh
source "$(dirname "$0")/from_nothing_lib.sh"

cluster=$FRONT
on_machine() { "$ENGINE" exec --interactive "$MACHINE" "$@"; }
authority() { # the CA of machines, and the certificate of this one
  rm -rf "$OUT/ca"
  mkdir -m 0700 "$OUT/ca"
  (
    umask 077
    cd "$OUT/ca"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 365 -subj '/O=example.com/CN=Node CA' \
      -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=laptop -keyout tls.key -out tls.csr
    openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out tls.crt \
      -extfile <(echo keyUsage=critical,digitalSignature)
  ) 2> /dev/null > /dev/null
}
machine() {
  "$ENGINE" run --detach --user 0:0 --env HOME=/root --cap-add SYS_PTRACE --name "$MACHINE" --hostname laptop --network "$NETWORK" \
    "$MACHINE_IMAGE" sleep infinity > /dev/null
  on_machine mkdir -p -m 0755 /opt/spire-agent/data /run/spire/agent-sockets
  "$ENGINE" cp "$(readlink -f "$(command -v spire-agent)")" "$MACHINE:/opt/spire-agent/spire-agent"
  "$ENGINE" cp "$OUT/ca/tls.crt" "$MACHINE:/opt/spire-agent/tls.crt"
  "$ENGINE" cp "$OUT/ca/tls.key" "$MACHINE:/opt/spire-agent/tls.key"
  on_machine useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$MACHINE_ENVOY"
  on_machine mkdir -p "/opt/$MACHINE_ENVOY/state"
  on_machine chown "$MACHINE_ENVOY:" "/opt/$MACHINE_ENVOY/state"
  "$ENGINE" cp "$(readlink -f "$(command -v envoy)")" "$MACHINE:/opt/$MACHINE_ENVOY/envoy"
  "$ENGINE" cp "$IN/$MACHINE_ENVOY.json" "$MACHINE:/opt/$MACHINE_ENVOY/envoy.json"
}
agent() {
  local server
  until server=$(k --namespace "$SPIRE_NAMESPACE" get service spire-server --output 'jsonpath={.status.loadBalancer.ingress[0].ip}') &&
    [ -n "$server" ]; do sleep 0.2; done
  server bundle show | on_machine sh -c 'cat > /opt/spire-agent/bundle.crt'
  on_machine sh -c 'cat > /opt/spire-agent/agent.conf' << EOF
agent {
  data_dir = "/opt/spire-agent/data"
  server_address = "$server"
  server_port = "8081"
  socket_path = "/run/spire/agent-sockets/spire-agent.sock"
  trust_bundle_path = "/opt/spire-agent/bundle.crt"
  trust_domain = "example.com"
}
plugins {
  NodeAttestor "x509pop" {
    plugin_data { certificate_path = "/opt/spire-agent/tls.crt" private_key_path = "/opt/spire-agent/tls.key" }
  }
  KeyManager "disk" { plugin_data { directory = "/opt/spire-agent/data" } }
  WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }
}
EOF
  "$ENGINE" exec --detach "$MACHINE" /opt/spire-agent/spire-agent run -config /opt/spire-agent/agent.conf
  until on_machine /opt/spire-agent/spire-agent healthcheck -socketPath /run/spire/agent-sockets/spire-agent.sock > /dev/null 2>&1; do sleep 0.2; done
  "$ENGINE" exec --detach --user "$MACHINE_ENVOY" "$MACHINE" \
    "/opt/$MACHINE_ENVOY/envoy" --config-path "/opt/$MACHINE_ENVOY/envoy.json" --disable-hot-restart --log-level warning
  until on_machine bash -c 'exec 3<> /dev/tcp/127.0.0.1/10443' 2> /dev/null; do sleep 0.2; done
}
spire() {
  apply "$cluster.balancer"
  apply "$cluster.spire_server"
  pools
  running_server
  server entry create -data - -output json < "$IN/$cluster.entries.json" > /dev/null
  agent & one=$!
  apply "$cluster.spire_agent"
  apply "$cluster.apps"
  ready
  jobs_done $one
}

network
authority
mark[MACHINES_CA]=$(awk '{ printf "%s\\n", $0 }' "$OUT/ca/ca.crt")
mark[BUNDLE]=""
create & first=$!
machine & second=$!
jobs_done $first $second
lap "the cluster and the machine"
mark[FRONT]=$(address)
spire
lap "all workloads ready"
