#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves on the wire who is let in and who is refused."""

from __future__ import annotations

DOCUMENTATION = r"""
module: trust_check
short_description: Prove on the wire who is let in and who is refused
version_added: "0.1.0"
author:
  - The trustmesh.spiffe authors (@trustmesh)
description:
  - Makes real TLS handshakes and real requests, and judges what each end presents.
  - All checks run at the same time. A positive check is tried until it holds or O(timeout) passes.
  - A negative check is judged once its C(control), a positive check of the same endpoint, holds. It passes only when
    the refusal is of the expected kind. When nothing listens, or nobody answers, that is no refusal, and it fails.
  - A certificate is judged by its SPIFFE ID, by its chain to the trust bundle that the SPIRE server shows now, by its
    remaining life, and by not being signed by istiod.
  - Identities for the tests are minted for 5 minutes and never leave this module's memory.
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
requirements:
  - Python package cryptography 42 or later, where the module runs
attributes:
  check_mode:
    support: partial
    details:
      - The input is judged, but nothing is contacted, so nothing can be said about the checks.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing. A report is a product of each run, like a log, and never counts as a change.
  idempotent:
    support: full
    details:
      - This module changes nothing.
options:
  scenario:
    description:
      - Name of what is verified. It stands in the report and names its files, so it holds letters, digits, dots,
        dashes and underscores only.
    type: str
    required: true
  trust_domain:
    description: The trust domain, for example V(example.org).
    type: str
    required: true
  spire_server:
    description: Where the SPIRE server of the trust domain is, and how to talk to it.
    type: dict
    suboptions:
      pod:
        description:
          - The pod that the server runs in, or C(kind/name), for example V(statefulset/spire-server).
          - Without it the server is taken to run on this host.
        type: str
      namespace:
        description: The namespace of the pod.
        type: str
        default: spire
      container:
        description: The container in the pod. Without it, the pod's default container.
        type: str
      binary:
        description: The spire-server program, there.
        type: str
        default: spire-server
      socket_path:
        description: The socket of the server's API, there.
        type: str
        default: /tmp/spire-server/private/api.sock
      kubectl:
        description: The kubectl program.
        type: path
        default: kubectl
      kubeconfig:
        description: The kubeconfig file of the cluster.
        type: path
      context:
        description: The context inside the kubeconfig file.
        type: str
  istio_root:
    description:
      - Where istiod publishes the root of its own CA. A certificate that leads to it is not believed.
      - Without it this comparison is left out; the chain to SPIRE's bundle is always asked for.
    type: dict
    suboptions:
      namespace:
        description: A namespace that holds the ConfigMap.
        type: str
        default: istio-system
      config_map:
        description: The ConfigMap with the key C(root-cert.pem).
        type: str
        default: istio-ca-root-cert
      kubectl:
        description: The kubectl program.
        type: path
        default: kubectl
      kubeconfig:
        description: The kubeconfig file of the cluster.
        type: path
      context:
        description: The context inside the kubeconfig file.
        type: str
  kubectl:
    description: The kubectl program for endpoints that name none.
    type: path
    default: kubectl
  spire_agent_binary:
    description: The spire-agent program on this host. Needed by checks of type C(token_reuse).
    type: path
    default: spire-agent
  endpoints:
    description:
      - The places that checks speak of, by name. They are also the boxes of the picture.
      - The name C(here) stands for the host on which this module runs and need not be given.
      - C(cluster) and C(title) are for the picture. C(spiffe_id) is the identity that it must have.
      - C(pod), C(namespace), C(container), C(kubeconfig), C(context) and C(kubectl) say how to run a command there;
        C(pod) is a name or C(kind/name), as C(kubectl exec) takes it.
      - C(url) is where requests to it go, C(address) is the C(host:port) for TLS handshakes, both as seen from where
        the check is made.
    type: dict
    default: {}
  checks:
    description:
      - What is to be proven, each a dictionary with C(name), C(type) and the fields of its type. C(hint) is printed
        when it fails. C(from) and C(to) name endpoints; C(from) is C(here) unless it is said otherwise.
      - All certificate checks take C(spiffe_id) (default is that of the endpoint) and C(min_remaining) in seconds
        (default 60).
      - C(request) (positive) sends a GET from C(from) to the C(url) of C(to), with curl. Fields C(path), C(status)
        (default 200), C(json_key) (must be in the JSON answer), C(contains).
      - C(peer_certificate) (positive) judges what C(to) presents in a TLS handshake. Fields C(client_spiffe_id) (the
        identity to show; none by default) and C(server_name).
      - C(forwarded_certificate) (positive) judges the client certificate of C(from) that the proxy C(to) saw, from
        the answer to the C(request) check named by C(request). C(header_key) is the key in the JSON answer that holds
        the received x-forwarded-client-cert (default C(forwarded_client_cert)).
      - C(sidecar_certificate) (positive) judges the certificate that the Istio sidecar of C(to) holds. With
        C(request) the next hop must have seen the same one. Fields C(container) (default C(istio-proxy)), C(secret)
        (default C(default)), C(header_key).
      - C(accepted_handshake) (positive) shows a minted C(client_spiffe_id) and must be let in. Fields C(path),
        C(status), C(json_key), C(server_name).
      - C(refused_handshake) (negative) shows C(client), one of C(none), C(stranger) (a minted identity of the same
        trust domain, C(client_spiffe_id) if a certain one is wanted) or C(foreign_ca) (the permitted ID, signed by a
        CA made on the spot). C(control) names the check that shows the endpoint alive. C(refusal) lists what counts
        as refused (default C(tls_alert)).
      - C(refused_request) (negative) sends plain HTTP from C(from). Fields C(path), C(control), C(refusal) (default
        C(reset); also C(http_403), C(tls_alert)), C(contains).
      - C(token_reuse) (negative) starts a spire-agent with the token of an agent that joined; C(to) is the SPIRE
        server, and it must refuse in its own words.
    type: list
    elements: dict
    required: true
  report_dir:
    description:
      - The folder for the reports C(<scenario>.json) and C(<scenario>.html), made when it is missing. The page is
        complete in itself. Both files are replaced as a whole, also when checks failed. Without it none is written.
    type: path
  timeout:
    description: Seconds that all checks together may take to hold.
    type: float
    default: 60
  interval:
    description: Seconds between two attempts of a check.
    type: float
    default: 0.5
  settle:
    description:
      - Seconds for which a negative check may not yet be refused after its control holds. Policies reach the proxies
        a moment after they are applied.
    type: float
    default: 10
  fail_on_failed:
    description: Whether the task fails when a check fails. The report is returned either way.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Prove that Green's Envoy admits Blue's and nobody else
  trustmesh.spiffe.trust_check:
    scenario: blue_green
    trust_domain: example.org
    spire_server:
      pod: statefulset/spire-server
      namespace: spire
      kubeconfig: build/blue.kubeconfig
      binary: /opt/spire/bin/spire-server
    endpoints:
      sleep:
        cluster: blue
        kubeconfig: build/blue.kubeconfig
        pod: deploy/sleep
        container: sleep
        spiffe_id: spiffe://example.org/ns/default/sa/sleep
      blue_gateway:
        cluster: blue
        url: http://gateway.default/
        spiffe_id: spiffe://example.org/ns/default/sa/gateway
      green_envoy:
        cluster: green
        address: 172.18.0.3:30443
        spiffe_id: spiffe://example.org/green/envoy
    checks:
      - name: a quote through the whole path
        type: request
        from: sleep
        to: blue_gateway
        json_key: quote
      - name: Green's Envoy saw the identity of Blue's
        type: forwarded_certificate
        request: a quote through the whole path
        from: blue_gateway
        to: green_envoy
      - name: Blue's identity is let in
        type: accepted_handshake
        to: green_envoy
        client_spiffe_id: spiffe://example.org/ns/default/sa/gateway
      - name: no client certificate
        type: refused_handshake
        client: none
        to: green_envoy
        control: Blue's identity is let in
"""

RETURN = r"""
report:
  description: The report, as it is meant for a file. Empty in check mode.
  returned: always
  type: dict
  sample:
    scenario: blue_green
    started: "2026-11-21T10:00:00.000Z"
    finished: "2026-11-21T10:00:02.100Z"
    duration_s: 2.1
    summary: {passed: 14, failed: 0}
    checks:
      - name: no client certificate
        kind: negative
        type: refused_handshake
        status: pass
        expected: "refused: TLS alert"
        observed: "refused: TLS alert certificate_required"
table:
  description:
    - The same as lines for a terminal, as wide as the environment variable E(COLUMNS) says, at most 132. In check mode
      one line that says that nothing was tried.
  returned: always
  type: list
  elements: str
report_files:
  description: The files that were written. Empty without O(report_dir) and in check mode.
  returned: always
  type: dict
  contains:
    json:
      description: The report for programs.
      returned: when O(report_dir) is given
      type: str
      sample: /srv/site/build/reports/blue_green.json
    html:
      description: The report for people.
      returned: when O(report_dir) is given
      type: str
      sample: /srv/site/build/reports/blue_green.html
failures:
  description:
    - One text for each check that failed by itself, with what was expected, what was seen, and a hint; the last one
      names those that were not judged because they build on one that failed.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.trustmesh.spiffe.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.use_case import trust_check


def main() -> None:
    cluster = {
        "kubectl": {"type": "path", "default": "kubectl"},
        "kubeconfig": {"type": "path"},
        "context": {"type": "str"},
    }
    server = {
        "pod": {"type": "str"},
        "namespace": {"type": "str", "default": "spire"},
        "container": {"type": "str"},
        "binary": {"type": "str", "default": "spire-server"},
        "socket_path": {"type": "str", "default": "/tmp/spire-server/private/api.sock"},  # noqa: S108
    }
    root = {
        "namespace": {"type": "str", "default": "istio-system"},
        "config_map": {"type": "str", "default": "istio-ca-root-cert"},
    }
    options: dict[str, dict[str, Any]] = {
        "scenario": {"type": "str", "required": True},
        "trust_domain": {"type": "str", "required": True},
        "spire_server": {"type": "dict", "apply_defaults": True, "options": {**server, **cluster}},
        "istio_root": {"type": "dict", "options": {**root, **cluster}},
        "kubectl": {"type": "path", "default": "kubectl"},
        "spire_agent_binary": {"type": "path", "default": "spire-agent"},
        "endpoints": {"type": "dict", "default": {}},
        "checks": {"type": "list", "elements": "dict", "required": True},
        "report_dir": {"type": "path"},
        "timeout": {"type": "float", "default": 60},
        "interval": {"type": "float", "default": 0.5},
        "settle": {"type": "float", "default": 10},
        "fail_on_failed": {"type": "bool", "default": True},
    }
    run_module(ArgumentSpec(options), trust_check)


if __name__ == "__main__":
    main()
