#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# federation by hand: two trust domains, whose servers hold each other's bundles before an entry federates.
# shellcheck source=bench/from_nothing_lib.sh
source "$(dirname "$0")/from_nothing_lib.sh"

trust() {
  apply "$cluster.spire_server"
  pools
  running_server
}
control_plane() {
  if k get customresourcedefinition/certificates.cert-manager.io > /dev/null 2>&1; then
    k wait --for=condition=Established --timeout=60s customresourcedefinition/{issuers,clusterissuers,certificates}.cert-manager.io > /dev/null
    apply "$cluster.certificates"
    k wait --for=condition=Ready --timeout=120s --all --all-namespaces certificates.cert-manager.io > /dev/null
  fi
  istio
}
begin() {
  local one two
  # It brings the namespaces, too: istioctl and kubectl must not make the same one at the same time.
  apply "$cluster.balancer"
  trust & one=$!
  control_plane & two=$!
  jobs_done $one $two
  server bundle show -format spiffe > "$OUT/$cluster.bundle"
}
join() {
  local peer=$FOO domain=foo.example url
  if [ "$cluster" = "$FOO" ]; then peer=$BAR domain=bar.example; fi
  url=https://$(cluster=$peer k --namespace "$SPIRE_NAMESPACE" get service spire-server-bundle \
    --output 'jsonpath={.status.loadBalancer.ingress[0].ip}'):8443
  server bundle set -format spiffe -id "spiffe://$domain" < "$OUT/$peer.bundle" > /dev/null
  server federation create -trustDomain "$domain" -bundleEndpointURL "$url" -bundleEndpointProfile https_spiffe \
    -endpointSpiffeID "spiffe://$domain/spire/server" > /dev/null
  apply "$cluster.registrar"
  apply "$cluster.spire_agent"
  istioctl create-remote-secret --kubeconfig "$OUT/$peer.kubeconfig" --name "$peer" \
    --server "https://$(cluster=$peer address):6443" | k apply --filename - > /dev/null
  apply "$cluster.mesh"
  apply "$cluster.apps"
  ready
}

network
both create "$FOO" "$BAR"
lap "both clusters"
mark[FOO]=$(cluster=$FOO address)
mark[BAR]=$(cluster=$BAR address)
both begin "$FOO" "$BAR"
lap "SPIRE and Istio in both"
both join "$FOO" "$BAR"
lap "all workloads ready"
