#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What a skilled user would write by hand for mithril on built artifacts: the yardstick of bench/from_nothing.py,
# which gives the objects, the programs and the names by environment variables. Both clusters go on side by side.
set -euo pipefail

start=$(date +%s%N)
lap() { printf '%6.1f s  %s\n' "$((($(date +%s%N) - start) / 100000000))e-1" "$1"; }
k() { kubectl --kubeconfig "$OUT/$cluster.kubeconfig" "$@"; }
# A cluster may have none of a kind, which kubectl takes for a mistake.
apply() { [[ $(< "$IN/$1.json") == *'"items": []}' ]] || fill "$1" | k apply --filename - > /dev/null; }
address() {
  "$ENGINE" inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1-control-plane"
}
fill() {
  local text
  text=$(< "$IN/$1.json")
  text=${text//@FOO@/"${foo_address:-}"}
  text=${text//@BAR@/"${bar_address:-}"}
  printf '%s' "$text"
}
create() {
  kind create cluster --quiet --name "$cluster" --config "$IN/$cluster.kind.yml" --image "$IMAGE" \
    --kubeconfig "$OUT/$cluster.kubeconfig"
  # The kubelets ask the cluster's CA for their serving certificates.
  local requests
  until requests=$(k get csr --output name --field-selector spec.signerName=kubernetes.io/kubelet-serving) &&
    [ -n "$requests" ]; do sleep 0.2; done
  # shellcheck disable=SC2086 - one word per request
  k certificate approve $requests > /dev/null
}
ready() {
  local kind name
  for kind in deployment statefulset daemonset; do
    for name in $(k get "$kind" --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}'); do
      k --namespace "${name%/*}" rollout status "$kind/${name#*/}" --timeout=180s > /dev/null
    done
  done
}
jobs_done() {
  local job
  for job in "$@"; do wait "$job"; done
}
trust_in() { # the cluster's name
  local cluster=$1
  # Before the server, which would wait for it longer and longer.
  k --namespace "$SPIRE_NAMESPACE" create secret generic spire-upstream-ca --from-file="$OUT/ca" > /dev/null
  apply "$cluster.spire_server"
  # A cluster that nobody reaches from outside has no balancer.
  if k get customresourcedefinition/ipaddresspools.metallb.io > /dev/null 2>&1; then
    k wait --for=condition=Established --timeout=60s customresourcedefinition/ipaddresspools.metallb.io \
      customresourcedefinition/l2advertisements.metallb.io > /dev/null
    apply "$cluster.pools"
  fi
  k --namespace "$SPIRE_NAMESPACE" rollout status statefulset/spire-server --timeout=180s > /dev/null
  [ "$(< "$IN/$cluster.entries.json")" = '{"entries": []}' ] ||
    k --namespace "$SPIRE_NAMESPACE" exec -i statefulset/spire-server -- "$SPIRE_SERVER" \
      entry create -data - -output json < "$IN/$cluster.entries.json" > /dev/null
  apply "$cluster.registrar"
  apply "$cluster.spire_agent"
}
istio_in() { # the cluster's name
  istioctl install --kubeconfig "$OUT/$1.kubeconfig" --skip-confirmation --filename "$IN/$1.istio.json" > /dev/null
}
all_in() { # the cluster's name
  local cluster=$1 trust istio
  # It brings the namespaces, too: istioctl and kubectl must not make the same one at the same time.
  apply "$cluster.balancer"
  trust_in "$cluster" & trust=$!
  istio_in "$cluster" & istio=$!
  jobs_done $trust $istio
  apply "$cluster.mesh"
  apply "$cluster.apps"
  ready
}

"$ENGINE" network inspect "$NETWORK" > /dev/null 2>&1 || "$ENGINE" network create "$NETWORK" > /dev/null
rm -rf "$OUT/ca"
mkdir -m 0700 "$OUT/ca"
(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 365 -subj '/O=example.org/CN=Upstream CA' \
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$OUT/ca/tls.key" -out "$OUT/ca/tls.crt" 2> /dev/null)
cp "$OUT/ca/tls.crt" "$OUT/ca/ca.crt"
cluster=$FOO create & one=$!
cluster=$BAR create & two=$!
jobs_done $one $two
lap "both clusters"
foo_address=$(address "$FOO")
bar_address=$(address "$BAR")
all_in "$FOO" & one=$!
all_in "$BAR" & two=$!
jobs_done $one $two
lap "all workloads ready"
