# shellcheck shell=bash
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the scripts have in common that a skilled user would write by hand: the yardstick of bench/from_nothing.py, which
# gives the objects, the programs and the names by environment variables. Whatever can run side by side does, nothing is
# checked twice, nothing can be run again. $cluster is the name of the one that a function is about.
set -euo pipefail

start=$(date +%s%N)
lap() { printf '%6.1f s  %s\n' "$((($(date +%s%N) - start) / 100000000))e-1" "$1"; }
# What @NAME@ in the objects stands for in this run, by name.
declare -A mark=()
k() { kubectl --kubeconfig "$OUT/$cluster.kubeconfig" "$@"; }
server() { k --namespace "$SPIRE_NAMESPACE" exec -i statefulset/spire-server -- "$SPIRE_SERVER" "$@"; }
fill() {
  local text name
  text=$(< "$IN/$1.json")
  for name in "${!mark[@]}"; do text=${text//"@$name@"/"${mark[$name]}"}; done
  printf '%s' "$text"
}
# A cluster may have none of a kind, which kubectl takes for a mistake.
apply() { [[ $(< "$IN/$1.json") == *'"items": []}' ]] || fill "$1" | k apply --filename - > /dev/null; }
address() {
  "$ENGINE" inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$cluster-control-plane"
}
create() {
  kind create cluster --name "$cluster" --config "$IN/$cluster.kind.yml" --image "$IMAGE" \
    --kubeconfig "$OUT/$cluster.kubeconfig"
  # The kubelets ask the cluster's CA for their serving certificates, each when it is there.
  local nodes requests
  nodes=$(grep -c 'role: ' "$IN/$cluster.kind.yml") || nodes=1
  until requests=$(k get csr --no-headers --field-selector spec.signerName=kubernetes.io/kubelet-serving \
    --output custom-columns=NODE:.spec.username,NAME:.metadata.name) &&
    [ "$(cut -d ' ' -f 1 <<< "$requests" | sort -u | grep -c .)" = "$nodes" ]; do sleep 0.2; done
  # shellcheck disable=SC2046 - one word per request
  k certificate approve $(awk '{ print $2 }' <<< "$requests") > /dev/null
}
# `wait` alone forgets how the jobs ended.
jobs_done() {
  local job
  for job in "$@"; do wait "$job"; done
}
both() { # a function and the names of two clusters
  local one two
  cluster=$2 "$1" & one=$!
  cluster=$3 "$1" & two=$!
  jobs_done $one $two
}
network() { "$ENGINE" network inspect "$NETWORK" > /dev/null 2>&1 || "$ENGINE" network create "$NETWORK" > /dev/null; }
pools() {
  # A cluster that nobody reaches from outside has no balancer.
  k get customresourcedefinition/ipaddresspools.metallb.io > /dev/null 2>&1 || return 0
  k wait --for=condition=Established --timeout=60s customresourcedefinition/ipaddresspools.metallb.io \
    customresourcedefinition/l2advertisements.metallb.io > /dev/null
  apply "$cluster.pools"
}
running_server() {
  k --namespace "$SPIRE_NAMESPACE" rollout status statefulset/spire-server --timeout=180s > /dev/null
  # An agent that begins with an empty bundle waits a minute for the kubelet to bring it another one.
  until k get configmap --all-namespaces --field-selector metadata.name=spire-bundle --output yaml | grep -q BEGIN; do
    sleep 0.2
  done
}
istio() {
  istioctl install --kubeconfig "$OUT/$cluster.kubeconfig" --skip-confirmation --filename "$IN/$cluster.istio.json" > /dev/null
}
ready() {
  local kind name
  for kind in deployment statefulset daemonset; do
    for name in $(k get "$kind" --all-namespaces --output 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}'); do
      k --namespace "${name%/*}" rollout status "$kind/${name#*/}" --timeout=180s > /dev/null
    done
  done
}
