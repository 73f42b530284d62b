# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""What to look at when a check does not hold. Pure data."""

from __future__ import annotations

from ansible_collections.trustmesh.spiffe.plugins.module_utils._tls import probe

BY_ENDING = {
    probe.NOTHING_LISTENS: "Is the pod Ready, and is the address the one of its Service?",
    probe.UNREACHABLE: "Look at the Service, its name and the network between.",
    probe.TIMEOUT: "Look at the pod's log, and at a firewall or NetworkPolicy on the way.",
    probe.TLS_ALERT: "The server refuses this client: compare the SPIFFE IDs that it admits with the client's.",
    probe.RESET: "A mesh in STRICT mode cuts off clients without mTLS.",
    probe.PROTOCOL: "The other side speaks something else: is this the right port?",
}

UNTRUSTED = (
    "The authorities in its files are not those of the server: is the program that writes them alive, and are both of"
    " one trust domain?"
)
NAME = "The names of a certificate are those of its registration entry (dns_names)."
FEDERATION = (
    "A run of the role spire_federation reads the bundles anew from servers of this inventory. Does the server reach"
    " the bundle endpoint of the other one?"
)
OLD_CURL = "What a server presented is told by curl 7.88 or later."

BY_STATUS = {
    403: "A policy refuses this client: compare its principal with the AuthorizationPolicy or RBAC rules.",
    404: "The path or host has no route: look at the routes of the proxies on the way.",
    503: "A proxy on the way has no healthy or no trusted upstream: look at its log and its certificates.",
}

ANOTHER = "Of those behind this Service only others have answered: is this one Ready, and do its callers reach it?"

CUT_HANDSHAKE = (
    "The connection was cut in the middle of the handshake: is this the right port? A port of the mesh that also takes"
    " plain connections (PeerAuthentication not STRICT) does so to TLS from outside the mesh."
)
PLAIN_WAS_READ = (
    "Plain HTTP was read, and only then refused by a policy: is mTLS of this workload STRICT (PeerAuthentication)?"
)
NOBODY = "A refusal counts from the server itself: does it speak TLS 1.3, and is something else in between?"
OF_TIME = "This alert is about time, and says nothing of who this is."
WAY_AROUND = "This is a way around its guard: let the program listen on 127.0.0.1, where only its own proxy reaches it."
OPEN_DOOR = "This door is open to somebody it should refuse."
NO_REFUSAL = "This is no refusal of who the client is."

BY_PROBLEM = (
    (
        ("not signed by istiod",),
        "It was to be certified by istiod: is its namespace moved already, or does its proxy find a socket of SPIRE's?",
    ),
    (
        ("signed by istiod",),
        "The proxy fell back to istiod's CA: is the SPIRE socket mounted under the name that Istio looks for?",
    ),
    (
        ("trust bundle",),
        "The certificate is older than the server's present CA, or from another server: look at the agent's log.",
    ),
    (
        ("expired", "lives only"),
        "The certificate is not renewed: is the SPIRE agent alive, and does it reach its server?",
    ),
)
"""Words of what is wrong with a certificate, to the hint; the first that fits."""
OTHER_PROBLEM = "Compare the registration entry of this workload with the SPIFFE ID that is expected."

CA_SERVER = (
    "istiod issues certificates, or did: let SPIRE certify it (ENABLE_CA_SERVER=false), and delete the Secret, by whose"
    " key anybody could go on."
)
ISTIOD = "Is istiod up, and is its certificate the one that SPIRE gave it?"
PUBLISHED = (
    "For webhooks istiod publishes it, for ConfigMaps SPIRE's server: look at its log. Another field manager of the"
    " ConfigMap keeps SPIRE's server from writing it."
)
SAME = "Are both servers under the same upstream CA, and has a rotation of it reached both?"
PROXY_BUNDLES = (
    "The agent hands out a bundle for each trust domain that the workload's entry federates with: look at its"
    " federates_with, at the server's relationship (spire_federation_info), and at the agent's sds settings."
)
CHAIN = (
    "Look at the server's UpstreamAuthority: whether its bundle is given (bundle_file_path) decides whether the root is"
    " in the chain."
)

NO_PROGRAM = (
    ("curl", "Requests from a pod are made with its curl: name a container that has it, or another pod."),
    ("python3", "Handshakes from a pod are made with its python3: name a container that has it, or another pod."),
)


def of_handshake(ending: str) -> str:
    """The hint for a handshake that ended so."""
    return CUT_HANDSHAKE if ending == probe.RESET else BY_ENDING.get(ending, "")


def of_certificate(problems: tuple[str, ...]) -> str:
    """The hint for a certificate that is not to be believed."""
    text = " ".join(problems)
    return next((hint for words, hint in BY_PROBLEM if any(word in text for word in words)), OTHER_PROBLEM)


def of_program(words: str) -> str:
    """The hint for what kubectl and a container's runtime say of a program that is not there."""
    if "not found" not in words and "no such file" not in words:
        return ""
    return next((hint for program, hint in NO_PROGRAM if f'"{program}"' in words or f"{program}:" in words), "")
