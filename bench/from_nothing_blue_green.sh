#!/usr/bin/env bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What a skilled user would write by hand for blue_green on built artifacts: the yardstick of bench/from_nothing.py,
# which starts it. Whatever can run side by side does, nothing is checked twice, nothing can be run again.
# It needs in the environment: IN (rendered objects), OUT (a folder to write to), BLUE and GREEN (names of the clusters),
# ENGINE, NETWORK, IMAGE, SPIRE_NAMESPACE, SPIRE_SERVER, TOKEN_ID, and the tools on PATH.
set -euo pipefail

start=$(date +%s%N)
lap() { printf '%6.1f s  %s\n' "$((($(date +%s%N) - start) / 100000000))e-1" "$1"; }
b() { kubectl --kubeconfig "$OUT/$BLUE.kubeconfig" "$@"; }
g() { kubectl --kubeconfig "$OUT/$GREEN.kubeconfig" "$@"; }
server() { b --namespace "$SPIRE_NAMESPACE" exec -i statefulset/spire-server -- "$SPIRE_SERVER" "$@"; }
address() {
  "$ENGINE" inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1-control-plane"
}
# Objects with this run's addresses, bundle and token in the places of the ones they were rendered with.
fill() {
  local text
  text=$(< "$IN/$1.json")
  text=${text//@BLUE@/"$blue_address"}
  text=${text//@GREEN@/"$green_address"}
  text=${text//@BUNDLE@/"${bundle:-}"}
  text=${text//@TOKEN@/"${token:-}"}
  printf '%s' "$text"
}
ready() { # b or g
  local kubectl=$1 kind name
  for kind in deployment statefulset daemonset; do
    for name in $("$kubectl" get "$kind" --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}'); do
      "$kubectl" --namespace "${name%/*}" rollout status "$kind/${name#*/}" --timeout=180s > /dev/null
    done
  done
}
create() { # the cluster's name
  kind create cluster --quiet --name "$1" --config "$IN/$1.kind.yml" --image "$IMAGE" --kubeconfig "$OUT/$1.kubeconfig"
  # The kubelets ask the cluster's CA for their serving certificates.
  local requests
  until requests=$(kubectl --kubeconfig "$OUT/$1.kubeconfig" get csr --output name \
    --field-selector spec.signerName=kubernetes.io/kubelet-serving) && [ -n "$requests" ]; do sleep 0.2; done
  # shellcheck disable=SC2086 - one word per request
  kubectl --kubeconfig "$OUT/$1.kubeconfig" certificate approve $requests > /dev/null
}
balancer() { # b or g, and the cluster's name
  fill "$2.balancer" | "$1" apply --filename - > /dev/null
  "$1" wait --for=condition=Established --timeout=60s customresourcedefinition/ipaddresspools.metallb.io \
    customresourcedefinition/l2advertisements.metallb.io > /dev/null
  fill "$2.pools" | "$1" apply --filename - > /dev/null
}
# `wait` alone forgets how the jobs ended.
jobs_done() {
  local job
  for job in "$@"; do wait "$job"; done
}

"$ENGINE" network inspect "$NETWORK" > /dev/null 2>&1 || "$ENGINE" network create "$NETWORK" > /dev/null
create "$BLUE" & one=$!
create "$GREEN" & two=$!
jobs_done $one $two
lap "both clusters"

blue_address=$(address "$BLUE")
green_address=$(address "$GREEN")
spire_in_blue() {
  fill "$BLUE.spire_server" | b apply --filename - > /dev/null
  balancer b "$BLUE"
  b --namespace "$SPIRE_NAMESPACE" rollout status statefulset/spire-server --timeout=180s > /dev/null
  fill "$BLUE.registrar" | b apply --filename - > /dev/null
  fill "$BLUE.spire_agent" | b apply --filename - > /dev/null
}
istio_in_blue() {
  istioctl install --kubeconfig "$OUT/$BLUE.kubeconfig" --skip-confirmation --filename "$IN/$BLUE.istio.json" > /dev/null
}
balancer g "$GREEN" & three=$!
spire_in_blue & one=$!
istio_in_blue & two=$!
jobs_done $one $two $three
lap "SPIRE and Istio in blue"

token=$(server token generate -output json -ttl 600 -spiffeID "$TOKEN_ID" | sed -n 's/.*"value": *"\([^"]*\)".*/\1/p')
server entry create -data - -output json < "$IN/$BLUE.entries.json" > /dev/null
bundle=$(server bundle show | awk '{ printf "%s\\n", $0 }')
fill "$GREEN.spire_agent" | g apply --filename - > /dev/null
apps_in_blue() {
  fill "$BLUE.apps" | b apply --filename - > /dev/null
  fill "$BLUE.mesh" | b apply --filename - > /dev/null
}
fill "$GREEN.apps" | g apply --filename - > /dev/null & one=$!
apps_in_blue & two=$!
jobs_done $one $two
ready g & one=$!
ready b & two=$!
jobs_done $one $two
lap "all workloads ready"
