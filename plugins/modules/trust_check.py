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
  - Each check ends as C(proven), as C(refuted), or as C(not_judged) when it builds on another that failed.
  - A certificate is judged by its SPIFFE ID, by its chain to the trust bundle that a SPIRE server of its own trust
    domain shows now, by its remaining life, and by not being signed by istiod.
  - Each SPIFFE ID that is judged or minted needs one of O(servers) of its own trust domain.
  - Identities for the tests are minted for 5 minutes by a server of their own trust domain, and never leave this
    module's memory.
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.places
requirements:
  - Python package cryptography 45 or later, where the module runs
  - curl, where requests are made from; that is the host on which the module runs, or the pod of the endpoint C(from)
  - python3 in the pod of the endpoint C(from), for handshakes that are made from there
  - kubectl, for endpoints and servers in pods and for O(istio_roots)
  - spire-agent, for checks of type C(token_reuse)
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
  istio_roots:
    description:
      - Where each istiod publishes the root of its own CA. A certificate that leads to one of them is not believed.
      - Without any this comparison is left out; the chain to SPIRE's bundle is always asked for.
    type: list
    elements: dict
    default: []
    suboptions:
      cluster:
        description: The name of the cluster, one of O(clusters).
        type: str
        required: true
      namespace:
        description: A namespace that holds the ConfigMap.
        type: str
        default: istio-system
      config_map:
        description: The ConfigMap with the key C(root-cert.pem).
        type: str
        default: istio-ca-root-cert
  endpoints:
    description:
      - The places that checks speak of. They are also the boxes of the picture.
      - The name V(here) stands for the host on which this module runs and is not given.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name by which checks speak of it, each name once.
        type: str
        required: true
      cluster:
        description:
          - The cluster that it is in. An endpoint with a C(pod) names one of O(clusters) here; of another one it is
            only a label for the picture.
        type: str
      title:
        description: What stands in its box of the picture. The default is its name.
        type: str
      server:
        description:
          - The name of the server that gives it its identity, or that it is.
          - The default is the first server of the trust domain of its C(spiffe_id), or the only one there is. A check
            of type C(token_reuse) goes to this server.
        type: str
      spiffe_id:
        description: The SPIFFE ID that it must have.
        type: str
      url:
        description: Where requests to it go, as seen from where the check is made.
        type: str
      address:
        description: The C(host:port) for TLS handshakes with it, as seen from where the check is made.
        type: str
      pod:
        description: The pod, by name or as kind and name such as V(deploy/sleep), for what is run or read there.
        type: str
      container:
        description: The container of the pod. Without it Kubernetes takes the pod's default container.
        type: str
      namespace:
        description: The namespace of the pod.
        type: str
        default: default
      command:
        description:
          - Of a machine outside Kubernetes the words before a program that is to run there, such as
            C([podman, exec, --interactive, vm1]) or C([ssh, root@vm1]). Not together with C(pod).
        type: list
        elements: str
  checks:
    description:
      - What is to be proven. Which fields a check takes is a matter of its C(type); any other is refused.
      - C(request) (positive) sends a GET with curl and is answered, in plain HTTP, or by TLS with a C(certificate). It
        needs C(to), and takes C(from), C(url), C(path), C(status), C(json_key), C(json_value), C(contains),
        C(certificate), C(address), C(headers) and C(spiffe_id).
      - C(peer_certificate) (positive) judges what C(to) presents in a TLS handshake. It needs C(to), and takes C(from),
        C(spiffe_id), C(min_remaining), C(certified_by), C(client_spiffe_id), C(dns_names), C(address), C(server_name)
        and C(alpn).
      - C(certificate_chain) (positive) judges the same, and the chain as a whole. Each certificate must be signed by
        the one that follows, and the last one be an authority of the trust bundle, or be signed by one. With C(secret)
        it is what the proxy of C(to) holds. It needs C(to), and takes C(from), C(spiffe_id), C(min_remaining),
        C(client_spiffe_id), C(server_name), C(length), C(issuers), C(secret) and C(container).
      - C(forwarded_certificate) (positive) judges the client certificate of C(from) that the proxy C(to) saw, from the
        answer to a check of type C(request). It needs C(from), C(to) and C(request), and takes C(spiffe_id),
        C(min_remaining), C(hops) and C(header_key).
      - C(sidecar_certificate) (positive) judges the certificate that the Istio sidecar of C(to) holds; with C(request)
        the next hop must have seen the same one. It needs C(to), and takes C(spiffe_id), C(min_remaining),
        C(certified_by), C(container), C(secret), C(request) and C(header_key).
      - C(same_authorities) (positive) compares the X.509 authorities that several servers of one trust domain show.
        Their JWT authorities differ by nature. It needs C(servers), and takes C(from) and C(to), the two endpoints
        between which the picture shows it.
      - C(federated_bundle) (positive) compares the bundle of C(trust_domain) that the SPIRE server of C(to) holds with
        the one that its bundle endpoint serves now, as M(trustmesh.spiffe.spire_federation_info) does, and tells how
        old its youngest authority is. It needs C(to) and C(trust_domain), and takes C(from), the other end in the
        picture.
      - C(published_authorities) (positive) compares a ConfigMap of each of C(namespaces), in the cluster of C(to), with
        the X.509 authorities of the server of C(to). It must hold those, and nothing else. It needs C(to) and
        C(namespaces), and takes C(config_map) and C(config_map_key).
      - C(webhook_authorities) (positive) does the same with what the API server verifies C(service) by, in every
        webhook configuration that leads to it. It is in the namespace of C(to). It needs C(to) and C(service).
      - C(proxy_authorities) (positive) compares what the Istio proxy of C(to) judges certificates by with the X.509
        authorities of C(servers). It must hold a bundle for the trust domain of each, with those of that server and no
        others, and none for another trust domain, so that none can vouch for another. It needs C(to) and C(servers),
        and takes C(container) and C(root_secret).
      - C(accepted_handshake) (positive) shows a minted identity from here and must be let in. It needs C(to) and
        C(client_spiffe_id), and takes C(spiffe_id), C(address), C(server_name), C(alpn), C(path), C(headers),
        C(status), C(json_key) and C(json_value).
      - C(refused_handshake) (negative) shows a client without the permitted identity, which must be refused. It needs
        C(to), C(client) and C(control), and takes C(from), C(client_spiffe_id), C(spiffe_id), C(address),
        C(server_name), C(alpn), C(path), C(headers), C(refusal) and C(contains).
      - C(refused_request) (negative) sends a GET with curl, which must be refused, in plain HTTP, or by TLS with a
        C(certificate). It needs C(to) and C(control), and takes C(from), C(url), C(path), C(refusal), C(contains),
        C(certificate), C(address), C(headers) and C(spiffe_id).
      - C(closed_port) (negative) sends plain HTTP straight to the address of each running pod of C(to), around its
        Service and its proxy, from a pod of the same cluster. Nothing may answer there but a proxy that cuts it off. It
        needs C(from), C(to), C(port) and C(control), and takes C(path), C(guard_port) and C(refusal).
      - C(token_reuse) (negative) starts a spire-agent with the token of an agent that joined; the SPIRE server at the
        C(address) of C(to) must refuse it in its own words. It needs C(to).
      - C(no_certificate_service) (negative) asks istiod, at the C(address) of C(to), for a certificate as a proxy does,
        with the curl of the pod of C(from). istiod is verified by the bundle of its server, and must answer that it has
        no such service; and its namespace must have no Secret C(istio-ca-secret). It needs C(from) and C(to), and takes
        C(spiffe_id).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the check proves, in a few words, each name once.
        type: str
        required: true
      type:
        description: The type of the check, see O(checks).
        type: str
        required: true
        choices:
          - request
          - peer_certificate
          - certificate_chain
          - forwarded_certificate
          - sidecar_certificate
          - same_authorities
          - federated_bundle
          - published_authorities
          - webhook_authorities
          - proxy_authorities
          - accepted_handshake
          - refused_handshake
          - refused_request
          - closed_port
          - token_reuse
          - no_certificate_service
      kind:
        description: Whether it is positive or negative, for readers. It follows from C(type), and is compared with it.
        type: str
        choices: [positive, negative]
      hint:
        description: What to look at when it fails. It is printed then.
        type: str
      from:
        description:
          - The endpoint from which it is made. The default is V(here). Any other one needs a C(pod), which may be in
            another cluster than C(to) is.
          - Of C(forwarded_certificate) it is the endpoint whose certificate is judged; no default then.
        type: str
      to:
        description: The endpoint that it is about. Requests need its C(url), handshakes its C(address).
        type: str
      url:
        description:
          - Where the request goes, when that is another place for C(from) than the C(url) of C(to), such as the port at
            which an Envoy beside it takes requests for C(to).
        type: str
      address:
        description:
          - Where the connection of a request goes, as C(host:port), whatever the URL says. The name in the URL is asked
            for, and verified. So a gateway is reached whose name no DNS knows.
          - Of a handshake it is where that is made, when it is another place than the C(address) of C(to).
        type: str
      certificate:
        description:
          - The files whose certificate a request shows, where C(from) runs. The URL starts with C(https://) then. curl
            verifies the server by C(authorities), and its name; and what the server presented is judged by
            C(spiffe_id). That is told by curl 7.88 or later, and older ones say less.
          - Give C(folder), or certificate, key and authorities, or C(socket) and C(agent).
        type: dict
        suboptions:
          folder:
            description: The folder that the program svid_files fills, with svid.pem, svid.key and bundle.pem.
            type: str
          certificate:
            description: The file with the certificate and its chain.
            type: str
          key:
            description: The file with the key.
            type: str
          authorities:
            description: The file with the authorities by which the server is verified.
            type: str
          socket:
            description:
              - The Workload API socket where C(from) runs. The certificate is asked for there, for this one request,
                and it is that of the user who runs it. It goes with C(agent) alone.
            type: str
          agent:
            description: The program spire-agent there, which asks.
            type: str
      path:
        description: The path of the request. The default is V(/).
        type: str
      headers:
        description:
          - Headers that are sent besides, name to value, each one line of ASCII text. Of C(request),
            C(refused_request), C(accepted_handshake) and C(refused_handshake). A handshake adds C(connection) to its
            own C(close).
          - C(host), C(content-length) and C(transfer-encoding) are the check's own.
        type: dict
      status:
        description: The HTTP status that is expected. The default is V(200).
        type: int
      json_key:
        description: A key that must be in the JSON answer.
        type: str
      json_value:
        description:
          - The value that O(checks[].json_key) must have there. Where several answer at one Service it tells which of
            them is meant, and the check is tried until that one answers.
        type: str
      contains:
        description: A text that must be in the answer.
        type: str
      spiffe_id:
        description:
          - The SPIFFE ID that is expected. The default is that of the endpoint that is judged. Of a request it is that
            of the server that C(certificate) is shown to.
        type: str
      min_remaining:
        description: Seconds of life that a certificate must have left. The default is V(60).
        type: int
      certified_by:
        description:
          - Who must have signed the certificate. V(spire), which is the default, is a SPIRE server and no istiod of
            O(istio_roots), also where both stand under one root. V(istiod) is the istiod of the endpoint's cluster,
            which O(istio_roots) has to name. V(either) is one of them, where both have one root.
        type: str
        choices: [spire, istiod, either]
      client:
        description:
          - Who tries to get in. V(none) shows no certificate. V(other_identity) shows a minted identity that is not the
            permitted one, of the same trust domain unless C(client_spiffe_id) says another. V(foreign_ca) shows the
            permitted ID, signed by a CA made on the spot.
          - V(istiod) shows the permitted ID, signed by the CA of the first of O(istio_roots) that has one. Its Secret
            is read for that, and its key stays in the memory of this module. Where none has one, by a CA made on the
            spot, of the name that istiod gives to its own.
          - V(expired) shows a minted identity that is permitted, a second after its time is over.
        type: str
        choices: [none, other_identity, foreign_ca, istiod, expired]
      client_spiffe_id:
        description:
          - The identity that is shown. Its trust domain needs a server, which mints it. It never leaves this host, so
            it cannot be shown from a pod. With V(foreign_ca) and V(istiod) it can, for what they sign is worth nothing.
        type: str
      server_name:
        description: The name to ask for in the handshake (SNI), and in the request behind it.
        type: str
      alpn:
        description:
          - The protocols that a handshake offers (ALPN), the preferred one first. The sidecars of Istio take V(istio).
        type: list
        elements: str
      port:
        description: The port of the pods of C(to) that must not answer, from 1 to 65535.
        type: int
      guard_port:
        description:
          - The port at which the proxy of C(to) takes TLS. Where a NetworkPolicy drops packets to C(port) there is only
            silence; it counts as closed when this port of the same pod answers. Without it silence is no refusal.
        type: int
      control:
        description:
          - The name of a check of type C(request) or C(accepted_handshake) of the same endpoint, which shows it alive.
          - Where nobody is let in, it may be one of type C(peer_certificate). Only an alert of TLS is a refusal then,
            and O(checks[].client_spiffe_id) says who is refused.
        type: str
      refusal:
        description:
          - What counts as refused. The default is V(tls_alert) of handshakes, V(reset) of requests, and
            V(nothing_listens) of C(closed_port), which alone takes it.
          - With V(http_403_behind) TLS and the proxy that is asked let somebody in, and one behind that proxy answers
            with HTTP 403. It is known by the header C(x-envoy-upstream-service-time), which an Envoy adds to what
            others have answered. curl tells it since 7.84.
          - With V(name_mismatch) it is the client that refuses, for the name is none of the certificate. It goes with
            C(certificate).
        type: list
        elements: str
        choices: [tls_alert, reset, http_403, http_403_behind, name_mismatch, nothing_listens]
      request:
        description: The name of a check of type C(request), whose answer is looked at.
        type: str
      hops:
        description:
          - The SPIFFE IDs of all clients on the way, the first one first. The header names exactly these, or somebody
            has put more into it.
        type: list
        elements: str
      header_key:
        description:
          - The key in the JSON answer that holds the received x-forwarded-client-cert. The default is
            V(forwarded_client_cert).
        type: str
      container:
        description: The container of the sidecar. The default is V(istio-proxy).
        type: str
      root_secret:
        description: The name of what the proxy judges others by, in Envoy. The default is V(ROOTCA).
        type: str
      secret:
        description:
          - The name of the sidecar's certificate in Envoy. The default is V(default). A C(certificate_chain) has no
            default, and makes a handshake without it.
        type: str
      dns_names:
        description: The DNS names that the certificate must carry, beside its SPIFFE ID.
        type: list
        elements: str
      length:
        description: How many certificates are presented, the leaf and perhaps the root among them, at most 8.
        type: int
      issuers:
        description:
          - The names of who signed what, that of the leaf's issuer first and the root's last, whether the root is
            presented or not. A name is given whole (RFC 4514), or its common name, or its organization.
        type: list
        elements: str
      servers:
        description:
          - The names of two or more of O(servers), of one trust domain.
          - Of C(proxy_authorities) the name of one for each trust domain.
        type: list
        elements: str
      trust_domain:
        description: The trust domain whose bundle is compared (C(federated_bundle)).
        type: str
      namespaces:
        description: The namespaces of the ConfigMap.
        type: list
        elements: str
      config_map:
        description: The name of the ConfigMap. The default is V(istio-ca-root-cert).
        type: str
      config_map_key:
        description: The key of the ConfigMap that holds certificates. The default is V(root-cert.pem).
        type: str
      service:
        description: The name of the Service that webhooks lead to, such as V(istiod).
        type: str
  versions:
    description:
      - What was tested, as name to version, for example of SPIRE and Istio. It is shown in the reports.
    type: dict
    default: {}
  spire_agent_binary:
    description: The spire-agent program on this host. Needed by checks of type C(token_reuse).
    type: path
    default: spire-agent
  report_dir:
    description:
      - The folder for the reports C(<scenario>.json), C(<scenario>.html) and C(<scenario>.xml) (JUnit), made when it is
        missing. The page is complete in itself. The files are replaced as a whole, also when checks failed. Without it
        none is written.
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
seealso:
  - module: trustmesh.spiffe.spire_entry
  - module: trustmesh.spiffe.spire_bundle_info
  - module: trustmesh.spiffe.istio_install
  - name: X.509-SVID
    description: What a SPIFFE certificate is, and how it is validated.
    link: https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
"""

EXAMPLES = r"""
# kubectl, curl and the kubeconfigs are those of the host on which the task runs: here the control node.
- name: Who is let in
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Prove that Green's Envoy admits Blue's gateway and nobody else
      trustmesh.spiffe.trust_check:
        scenario: blue_green
        report_dir: build/reports
        clusters:
          - name: blue
            kubeconfig: build/blue.kubeconfig
        servers:
          - name: blue
            trust_domain: example.org
            cluster: blue
            pod: statefulset/spire-server
        istio_roots:
          - cluster: blue
        endpoints:
          - name: sleep
            cluster: blue
            pod: deploy/sleep
            container: sleep
            spiffe_id: spiffe://example.org/ns/default/sa/sleep
          - name: blue_gateway
            cluster: blue
            url: http://gateway.default/
            spiffe_id: spiffe://example.org/ns/default/sa/gateway
          - name: green_envoy
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
          - name: another identity of the same trust domain
            type: refused_handshake
            client: other_identity
            to: green_envoy
            control: Blue's identity is let in
        versions:
          SPIRE: 1.15.3
"""

RETURN = r"""
report:
  description: The report, as it is meant for a file. Empty in check mode.
  returned: always
  type: dict
  contains:
    schema_version:
      description: The version of this form. It grows when a key changes its meaning.
      returned: when not in check mode
      type: int
      sample: 1
    scenario:
      description: The option O(scenario).
      returned: when not in check mode
      type: str
      sample: blue_green
    started:
      description: When the first attempt was made, in UTC.
      returned: when not in check mode
      type: str
      sample: "2026-11-21T10:00:00.000Z"
    finished:
      description: When the last check was judged, in UTC.
      returned: when not in check mode
      type: str
      sample: "2026-11-21T10:00:02.100Z"
    duration_s:
      description: Seconds between the two.
      returned: when not in check mode
      type: float
      sample: 2.1
    trust_domains:
      description: The trust domains of the servers, each once.
      returned: when not in check mode
      type: list
      elements: str
      sample: [example.org]
    versions:
      description: The option O(versions).
      returned: when not in check mode
      type: dict
      sample: {SPIRE: 1.15.3}
    summary:
      description: How many checks ended how. What was not judged counts as failed, too.
      returned: when not in check mode
      type: dict
      contains:
        passed:
          description: Checks with the status C(pass).
          returned: always
          type: int
          sample: 14
        failed:
          description: Checks with the status C(fail), which are those refuted and those not judged.
          returned: always
          type: int
          sample: 0
        refuted:
          description: Checks with the verdict C(refuted).
          returned: always
          type: int
          sample: 0
        not_judged:
          description: Checks with the verdict C(not_judged).
          returned: always
          type: int
          sample: 0
    checks:
      description: The checks, in the order in which they were given. Some types add what they saw, such as C(issuer).
      returned: when not in check mode
      type: list
      elements: dict
      sample:
        - name: no client certificate
          kind: negative
          type: refused_handshake
          status: pass
          verdict: proven
          breach: false
          expected: "refused: TLS alert"
          observed: "refused: TLS alert certificate_required"
          duration_s: 0.02
          attempts: 1
          from: here
          to: green_envoy
    clusters:
      description: The clusters, with the context that was taken.
      returned: when not in check mode
      type: list
      elements: dict
      sample: [{name: blue, context: kind-blue}]
    servers:
      description:
        - The servers, with their trust domains and the agents that may renew their certificates by now.
        - What was a join token in the ID of an agent is a digest, as in M(trustmesh.spiffe.spire_agent_info).
      returned: when not in check mode
      type: list
      elements: dict
      sample:
        - name: blue
          trust_domain: example.org
          agents:
            - id: spiffe://example.org/spire/agent/k8s_psat/blue/1cd8f089-f9cc-46ca-9196-64e6a9a40271
              attestation_type: k8s_psat
              expires_at: 1795903200
    endpoints:
      description: The endpoints, as the picture shows them.
      returned: when not in check mode
      type: list
      elements: dict
      sample: [{name: sleep, cluster: blue, title: sleep, spiffe_id: "spiffe://example.org/ns/default/sa/sleep"}]
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
    junit:
      description: The report for CI systems, in JUnit's form.
      returned: when O(report_dir) is given
      type: str
      sample: /srv/site/build/reports/blue_green.xml
failures:
  description:
    - One text for each check that was refuted, with what was expected, what was seen, and a hint; first those by which
      somebody was let in who should have been refused. The last one names those that were not judged.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module
from ansible_collections.trustmesh.spiffe.plugins.module_utils._verify.run import run, spec


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()
