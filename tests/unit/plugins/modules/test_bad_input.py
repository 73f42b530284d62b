# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to every SPIRE module, through the module as Ansible runs it: it is refused, and nothing is called.

Each row is what is wrong, and parts of the message: where it is wrong (option, item, field) and what is wrong or what
to do. The programs that lead to a server are replaced by one that leaves a trace when it is run.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from certificates import issue
from module_args import patch_module_args

ROOT = Path(__file__).resolve().parents[4]
PACKAGE = "ansible_collections.trustmesh.spiffe.plugins.modules"

Case = tuple[dict[str, Any], tuple[str, ...]]

NODE = "spiffe://example.org/node/blue"
AGENT = "spiffe://example.org/spire/agent/x509pop/a"
ENTRY = {"spiffe_id": "spiffe://example.org/cart", "parent_id": NODE, "selectors": ["unix:uid:1"]}

# The least that each module takes as good: the rows below change it.
GOOD: dict[str, dict[str, Any]] = {
    "spire_agent": {"state": "evicted", "spiffe_ids": [AGENT]},
    "spire_agent_info": {},
    "spire_authority": {"state": "prepared"},
    "spire_bundle": {"state": "absent", "bundles": [{"trust_domain": "other.org"}]},
    "spire_bundle_info": {},
    "spire_entry": {"entries": [ENTRY]},
    "spire_entry_export": {"dest": "/tmp/trustmesh-entries.json"},
    "spire_entry_info": {},
    "spire_federation": {"state": "absent", "relationships": [{"trust_domain": "other.org"}]},
    "spire_federation_info": {},
    "spire_join_token": {"spiffe_id": NODE},
    "spire_node_certificate": {
        "path": "/nonexistent/vm1",
        "mode": "spiffe",
        "trust_domain": "example.org",
        "name": "vm1",
        "spiffe_id": "spiffe://example.org/spire-exchange/vm1",
    },
    "spire_server_info": {},
    "spire_svid": {"spiffe_id": "spiffe://example.org/cart", "path": "/nonexistent/svid"},
    "spire_upstream_ca": {"path": "/nonexistent/ca", "trust_domain": "example.org", "secret_name": "ca"},
}

LONG = "a" * 300

# What every module refuses, since all share these options.
CONNECTION: tuple[Case, ...] = (
    ({"pod": ""}, ("pod:", "it is empty", "leave the option out")),
    ({"pod": "  "}, ("pod:", "it is empty")),
    ({"pod": " spire-server-0"}, ("pod:", "blanks around it")),
    ({"pod": "--all-namespaces"}, ("pod:", "is no pod", "statefulset/spire-server")),
    ({"pod": "Spire_Server"}, ("pod:", "is no pod")),
    ({"pod": "statefulset/"}, ("pod:", "is no pod")),
    ({"pod": "a/b/c"}, ("pod:", "is no pod")),
    ({"pod": LONG}, ("pod:", "is no pod")),
    ({"pod": "x", "pod_selector": "a=b"}, ("mutually exclusive", "pod", "pod_selector")),
    ({"pod_selector": ""}, ("pod_selector:", "it is empty")),
    ({"pod_selector": "a=b\n"}, ("pod_selector:", "line break")),
    ({"pod_selector": "a=b\nc=d"}, ("pod_selector:", "line break")),
    ({"pod": "x", "namespace": ""}, ("namespace:", "it is empty")),
    ({"pod": "x", "namespace": "A"}, ("namespace:", "'A'", "no name of Kubernetes")),
    ({"pod": "x", "namespace": "a/b"}, ("namespace:", "no name of Kubernetes")),
    ({"pod": "x", "namespace": "-n"}, ("namespace:", "no name of Kubernetes")),
    ({"pod": "x", "namespace": "a" * 64}, ("namespace:", "1 to 63")),
    ({"pod": "x", "container": ""}, ("container:", "it is empty")),
    ({"pod": "x", "container": "spire.server"}, ("container:", "no name of Kubernetes")),
    ({"container": "spire-server"}, ("container:", "without pod or pod_selector", "Name the pod")),
    ({"pod": "x", "kubectl": ""}, ("kubectl:", "it is empty")),
    ({"pod": "x", "context": "a\nb"}, ("context:", "line break")),
    ({"pod": "x", "kubeconfig": "/a\x1bb"}, ("kubeconfig:", "another character")),
    ({"pod": "x", "host": "https://192.0.2.1"}, ("api_key:", "missing", "goes with host")),
    ({"pod": "x", "host": "http://192.0.2.1", "api_key": "t0ken"}, ("host:", "https://")),
    ({"pod": "x", "api_key": "t0ken"}, ("api_key:", "without host")),
    ({"pod": "x", "kubeconfig": "/k", "host": "https://192.0.2.1", "api_key": "t0ken"}, ("lead to two clusters",)),
    ({"pod": "x", "host": "https://x", "api_key": "t0ken", "validate_certs": "n"}, ("validate_certs:", "ca_cert")),
    ({"binary": ""}, ("binary:", "it is empty")),
    ({"binary": "/a\x1bb"}, ("binary:", "another character")),
    ({"socket_path": ""}, ("socket_path:", "it is empty")),
    ({"socket_path": "api.sock"}, ("socket_path:", "not an absolute path")),
    ({"socket_path": "unix:///tmp/api.sock"}, ("socket_path:", "is an address", "the path alone")),
    ({"socket_path": "/tmp/"}, ("socket_path:", "is a folder")),
    ({"socket_path": "/" + "a" * 107}, ("socket_path:", "longer than 107 bytes")),
    ({"socket_path": "/" + "ä" * 60}, ("socket_path:", "longer than 107 bytes")),
    ({"socket_path": "/tmp/a\x1bb"}, ("socket_path:", "another character")),
    ({"timeout": 0}, ("timeout: 0", "not a positive number of seconds")),
    ({"timeout": -5}, ("timeout: -5", "not a positive number of seconds")),
    ({"timeout": "soon"}, ("timeout", "int")),
    ({"wait_timeout": -1}, ("wait_timeout: -1", "Give a number of seconds")),
    ({"binary": "{{ forgotten }}"}, ("binary:", "«{{»", "nobody filled in")),
    ({"pod": "x", "namespace": "{% if x %}"}, ("namespace:", "«{%»")),
    ({"sokcet_path": "/tmp/x"}, ("sokcet_path", "Supported parameters", "socket_path")),
)


def entries(**change: Any) -> dict[str, Any]:
    """Two entries, of which the second has the change; a field with the value None is left out."""
    second = {**ENTRY, "spiffe_id": "spiffe://example.org/quote", **change}
    return {"entries": [ENTRY, {name: value for name, value in second.items() if value is not None}]}


def src(name: str, content: str | None = None) -> dict[str, Any]:
    """Entries out of a file with this content, or out of one that is not there."""
    return {"entries": None, "src": name, "content": content}


def tokens(second: dict[str, Any]) -> dict[str, Any]:
    """Two tokens, of which this is the second."""
    return {"spiffe_id": None, "tokens": [{"spiffe_id": NODE, "dest": "/tmp/a"}, second]}


def bundle(**fields: Any) -> dict[str, Any]:
    """Two bundles to set, of which the second has the fields."""
    good = {"trust_domain": "other.org", "bundle": CA}
    return {"state": "present", "bundles": [good, {"trust_domain": "third.org", **fields}]}


def relationship(**fields: Any) -> dict[str, Any]:
    """Two relationships to make, of which the second has the fields; None leaves one out."""
    good = {
        "trust_domain": "other.org",
        "bundle_endpoint_url": "https://other.org/",
        "bundle_endpoint_profile": "https_web",
    }
    second = {**good, "trust_domain": "third.org", **fields}
    items = [good, {name: value for name, value in second.items() if value is not None}]
    return {"state": "present", "relationships": items}


def peers(**fields: Any) -> dict[str, Any]:
    """Two peers, of which the second has the fields; None leaves one out."""
    second = {"name": "bank", **fields}
    return {"peers": [{"name": "shop"}, {name: value for name, value in second.items() if value is not None}]}


IDENTITY = issue(ca=True)
CA, PRIVATE_KEY = IDENTITY.pem, IDENTITY.key_pem

OWN: dict[str, tuple[Case, ...]] = {
    "spire_entry": (
        ({"entries": None}, ("entries", "src")),
        ({"entries": "spiffe://example.org/cart"}, ("entries", "dict")),
        ({"entries": [ENTRY, "x"]}, ("entries[1]",)),
        ({"entries": [ENTRY, 7]}, ("entries[1]",)),
        ({"state": "latest"}, ("state", "present, absent")),
        (entries(ttl=5), ("entries[1]", "ttl", "Supported parameters")),
        (entries(id="x"), ("entries[1]", "id", "entry_id")),
        (entries(spiffe_id=None), ("entries[1]", "spiffe_id", "missing")),
        (entries(parent_id=None), ("entries[1]", "parent_id", "missing")),
        (entries(selectors=None), ("entries[1]", "selectors", "missing")),
        (entries(spiffe_id=""), ("entries[1].spiffe_id", "empty")),
        (entries(spiffe_id="cart"), ("entries[1].spiffe_id", "does not start with spiffe://")),
        (entries(spiffe_id="SPIFFE://example.org/x"), ("entries[1].spiffe_id", "does not start with spiffe://")),
        (entries(spiffe_id="http://example.org/x"), ("entries[1].spiffe_id", "does not start with spiffe://")),
        (entries(spiffe_id="spiffe:///x"), ("entries[1].spiffe_id", "trust domain is empty")),
        (entries(spiffe_id="spiffe://example.org"), ("entries[1].spiffe_id", "has no path")),
        (entries(spiffe_id="spiffe://example.org/"), ("entries[1].spiffe_id", "ends with a slash")),
        (entries(spiffe_id="spiffe://example.org/x/"), ("entries[1].spiffe_id", "ends with a slash")),
        (entries(spiffe_id="spiffe://example.org//x"), ("entries[1].spiffe_id", "empty segment")),
        (entries(spiffe_id="spiffe://example.org/../x"), ("entries[1].spiffe_id", "'..'")),
        (entries(spiffe_id="spiffe://example.org/./x"), ("entries[1].spiffe_id", "'.'")),
        (entries(spiffe_id="spiffe://example.org/a b"), ("entries[1].spiffe_id", "'a b'", "only letters")),
        (entries(spiffe_id="spiffe://example.org/%41"), ("entries[1].spiffe_id", "only letters")),
        (entries(spiffe_id="spiffe://example.org/ü"), ("entries[1].spiffe_id", "only letters")),
        (entries(spiffe_id="spiffe://example.org/x?q=1"), ("entries[1].spiffe_id", "query")),
        (entries(spiffe_id="spiffe://example.org/x#f"), ("entries[1].spiffe_id", "fragment")),
        (entries(spiffe_id="spiffe://example.org:80/x"), ("entries[1].spiffe_id", "port")),
        (entries(spiffe_id="spiffe://user@example.org/x"), ("entries[1].spiffe_id", "user part")),
        (entries(spiffe_id="spiffe://Example.org/x"), ("entries[1].spiffe_id", "lower case")),
        (entries(spiffe_id="spiffe://example.org/" + "a" * 2048), ("entries[1].spiffe_id", "2048 bytes")),
        (entries(spiffe_id="spiffe://" + "a" * 256 + "/x"), ("entries[1].spiffe_id", "255 bytes")),
        (entries(spiffe_id="spiffe://example.org/spire/server"), ("entries[1].spiffe_id", "/spire")),
        (entries(spiffe_id=ENTRY["spiffe_id"]), ("entries[1]", "entries[0]", "merge")),
        (entries(spiffe_id="spiffe://other.org/x", parent_id="spiffe://other.org/n"), ("entries[1]", "other.org")),
        (entries(parent_id="node"), ("entries[1].parent_id", "does not start with spiffe://")),
        (entries(parent_id="spiffe://example.org"), ("entries[1].parent_id", "has no path")),
        (entries(parent_id="spiffe://other.org/n"), ("entries[1].parent_id", "trust domain")),
        (entries(selectors=[]), ("entries[1].selectors", "at least one")),
        (entries(selectors=["unix"]), ("entries[1].selectors", "type:value")),
        (entries(selectors=["unix:"]), ("entries[1].selectors", "type:value")),
        (entries(selectors=[":uid"]), ("entries[1].selectors", "type:value")),
        (entries(selectors=[" unix:uid:1"]), ("entries[1].selectors", "blanks")),
        (entries(selectors=["a:b", "a:b"]), ("entries[1].selectors", "twice")),
        (entries(selectors={"type": "unix"}), ("entries[1]", "selectors")),
        (entries(x509_svid_ttl=-1), ("entries[1].x509_svid_ttl", "-1")),
        (entries(x509_svid_ttl=2**31), ("entries[1].x509_svid_ttl", str(2**31))),
        (entries(x509_svid_ttl="1h"), ("entries[1]", "x509_svid_ttl", "int")),
        (entries(jwt_svid_ttl=-1), ("entries[1].jwt_svid_ttl", "-1")),
        (entries(jwt_svid_ttl=1.5), ("entries[1]", "jwt_svid_ttl", "int")),
        (entries(expires_at=-1), ("entries[1].expires_at", "-1")),
        (entries(expires_at=2**63), ("entries[1].expires_at", "1970")),
        (entries(expires_at="tomorrow"), ("entries[1]", "expires_at", "int")),
        (entries(admin=True), ("entries[1].admin", "acknowledge_privileged")),
        (entries(downstream=True), ("entries[1].downstream", "acknowledge_privileged")),
        (entries(admin="maybe"), ("entries[1]", "admin", "bool")),
        (entries(store_svid=True, selectors=["a:b", "c:d"]), ("entries[1].store_svid", "one type")),
        (entries(hint="a\nb"), ("entries[1].hint:", "line break")),
        (entries(hint="{{ forgotten }}"), ("entries[1].hint:", "«{{»")),
        (entries(selectors=["unix:uid:1", "unix:path:/a\0b"]), ("entries[1].selectors[1]:", "zero byte")),
        (entries(selectors=["k8s:ns:{{ ns }}"]), ("entries[1].selectors[0]:", "«{{»")),
        (entries(dns_names=["a.org\n"]), ("entries[1].dns_names[0]:", "line break")),
        (
            src("lines.json", json.dumps([ENTRY, {**ENTRY, "hint": "a\nb"}])),
            ("src[1].hint:", "line break"),
        ),
        (entries(hint="h" * 1025), ("entries[1].hint", "1024 bytes")),
        (entries(dns_names=["UPPER"]), ("entries[1].dns_names", "'UPPER'")),
        (entries(dns_names=["a..b"]), ("entries[1].dns_names", "'a..b'")),
        (entries(dns_names=["-a.org"]), ("entries[1].dns_names", "'-a.org'")),
        (entries(dns_names=["a.*.org"]), ("entries[1].dns_names", "wildcard")),
        (entries(dns_names=["*"]), ("entries[1].dns_names", "wildcard")),
        (entries(dns_names=["a" * 64 + ".org"]), ("entries[1].dns_names", "63 to a label")),
        (entries(dns_names=["a.org", "a.org"]), ("entries[1].dns_names", "twice")),
        (entries(dns_names=["*.a.org", "b.a.org"]), ("entries[1].dns_names", "already covered")),
        (entries(dns_names=[""]), ("entries[1].dns_names", "is not a DNS name")),
        (entries(federates_with=["example.org"]), ("entries[1].federates_with", "own trust domain")),
        (entries(federates_with=["spiffe://other.org/x"]), ("entries[1].federates_with", "path")),
        (entries(federates_with=["Other.org"]), ("entries[1].federates_with", "lower case")),
        (entries(federates_with=["a.org", "spiffe://a.org"]), ("entries[1].federates_with", "twice")),
        (entries(federates_with=[""]), ("entries[1].federates_with", "empty")),
        (entries(entry_id="a b"), ("entries[1].entry_id", "'a b'")),
        (entries(entry_id=""), ("entries[1].entry_id",)),
        (entries(entry_id="a" * 256), ("entries[1].entry_id", "255")),
        (
            {"entries": [{**one, "entry_id": "x"} for one in entries()["entries"]]},
            ("entries[1].entry_id", "entries[0]"),
        ),
        ({"src": "/nonexistent.json"}, ("entries|src", "mutually exclusive")),
        ({"owner": ""}, ("owner:", "''")),
        ({"owner": "a.b"}, ("owner:", "'a.b'", "lower case letters, digits and dashes")),
        ({"owner": "-a"}, ("owner:", "none of the dashes at an end")),
        ({"owner": LONG}, ("owner:", "must be 1 to")),
        ({"purge": "all"}, ("purge", "none, owned")),
        ({"purge": "owned"}, ("purge:", "needs owner")),
        ({"purge": "owned", "owner": "shop", "entries": []}, ("entries:", "it is empty", "allow_empty")),
        ({"purge": "owned", "owner": "shop", "state": "absent"}, ("purge:", "state: present")),
        ({"on_refusal": "retry"}, ("on_refusal", "stop, continue")),
        ({"return_entries": "some"}, ("return_entries", "auto")),
        (src("none.json"), ("src:", "cannot be read", "Copy it there first")),
        (src(""), ("src:", "cannot be read")),
        (src("no.json", "nothing"), ("src:", "is not JSON")),
        (src("cut.json", '{"entries":['), ("src:", "is not JSON")),
        (src("deep.json", "[" * 100_000), ("src:", "nested too deep")),
        (src("no.yml", "a: [b"), ("src:", "is not YAML")),
        (src("text.yml", "just words"), ("src:", "must hold a list of entries")),
        (src("number.json", "7"), ("src:", "must hold a list of entries")),
        (src("latin.json", "\udcff"), ("src:", "is not UTF-8")),
        (src("twice.json", '[{"hint":"a","hint":"b"}]'), ("src:", "'hint'", "stands twice")),
        (src("twice.yml", "- hint: a\n  hint: b\n"), ("src:", "line 2", "'hint'", "stands twice")),
        (src("item.json", f"[{json.dumps(ENTRY)}, 7]"), ("src[1]:", "not an entry with fields")),
        (src("key.json", json.dumps([{**ENTRY, "ttl": 5}])), ("src[0].ttl", "no such field", "x509_svid_ttl")),
        (src("lacks.json", '[{"spiffe_id": "x"}]'), ("src[0].parent_id", "required and missing")),
        (src("type.json", json.dumps([{**ENTRY, "hint": 5}])), ("src[0].hint", "5", "it must be")),
        (src("bool.json", json.dumps([{**ENTRY, "admin": "yes"}])), ("src[0].admin", "'yes'", "it must be")),
        (src("rule.json", json.dumps([{**ENTRY, "selectors": ["x"]}])), ("src[0].selectors", "type:value")),
    ),
    "spire_entry_export": (
        ({"dest": None}, ("dest", "missing")),
        ({"dest": " "}, ("dest:", "it is empty", "Name the file")),
        ({"dest": "/tmp"}, ("dest:", "is a folder")),
        ({"dest": "/nonexistent/a.json"}, ("dest:", "/nonexistent does not exist")),
        ({"dest": "/etc/passwd"}, ("dest:", "is not overwritten")),
        ({"fields": "some"}, ("fields", "set, all")),
        ({"owner": "A"}, ("owner:", "'A'")),
        ({"selectors": []}, ("selectors:", "empty")),
        ({"entry_id": "x"}, ("entry_id", "Supported parameters")),
    ),
    "spire_svid": (
        ({"spiffe_id": None}, ("spiffe_id", "source is server")),
        ({"path": None}, ("path", "source is server")),
        ({"spiffe_id": "cart"}, ("spiffe_id:", "does not start with spiffe://")),
        ({"spiffe_id": "spiffe://example.org"}, ("spiffe_id:", "needs a path")),
        ({"spiffe_id": "spiffe://example.org/spire/server"}, ("spiffe_id:", "below /spire")),
        ({"path": "svid"}, ("path:",)),
        ({"path": "/etc"}, ("path:", "a folder for one SVID alone")),
        ({"path": "/etc/passwd"}, ("path:", "is no folder")),
        ({"owner": ""}, ("owner:", "empty")),
        ({"owner": "no-such-user"}, ("owner:", "no user no-such-user")),
        ({"ttl": -1}, ("ttl: -1",)),
        ({"renew_before": -1}, ("renew_before: -1",)),
        ({"ttl": 60, "renew_before": 60}, ("renew_before:", "every run")),
        ({"dns_names": ["A.org"]}, ("dns_names:", "'A.org'", "lower case")),
        ({"dns_names": ["a.org", "a.org"]}, ("dns_names:", "listed twice")),
        ({"type": "jwt"}, ("audience", "type is jwt")),
        ({"type": "jwt", "audience": []}, ("audience", "empty")),
        ({"type": "jwt", "audience": ["a", " "]}, ("audience[1]",)),
        ({"type": "jwt", "audience": ["a"], "dns_names": ["a.org"]}, ("dns_names:", "JWT-SVID has none")),
        ({"audience": ["a"]}, ("audience:", "set type to jwt")),
        ({"source": "agent"}, ("source", "server, workload_api")),
        ({"source": "workload_api", "ttl": 60}, ("ttl:", "the registration entry says")),
        ({"source": "workload_api", "dns_names": ["a.org"]}, ("dns_names:", "the registration entry says")),
        ({"source": "workload_api", "type": "jwt", "audience": ["a,b"]}, ("audience[0]", "comma")),
        ({"agent_socket_path": "agent.sock"}, ("agent_socket_path:", "not an absolute path")),
        ({"agent_binary": ""}, ("agent_binary:", "empty")),
    ),
    "spire_entry_info": (
        ({"spiffe_id": "x"}, ("spiffe_id:", "does not start with spiffe://")),
        ({"spiffe_id": ""}, ("spiffe_id:", "empty")),
        ({"parent_id": "spiffe://A.org/x"}, ("parent_id:", "lower case")),
        ({"parent_id": ""}, ("parent_id:", "empty")),
        ({"selectors": ["unix"]}, ("selectors:", "type:value")),
        ({"selectors": []}, ("selectors:",)),
        ({"selectors_match": "all"}, ("selectors_match", "exact, any, superset, subset")),
        ({"federates_with": ["a/b"]}, ("federates_with:",)),
        ({"federates_with": []}, ("federates_with:",)),
        ({"federates_with_match": "none"}, ("federates_with_match", "exact, any, superset, subset")),
        ({"entry_id": "a b"}, ("entry_id:", "'a b'")),
        ({"entry_id": ""}, ("entry_id:",)),
        ({"entry_id": "x", "spiffe_id": NODE}, ("entry_id|spiffe_id", "mutually exclusive")),
        ({"entry_id": "x", "downstream": True}, ("entry_id:", "Leave downstream out")),
        ({"owner": "A"}, ("owner:", "'A'")),
        ({"downstream": "some"}, ("downstream", "bool")),
    ),
    "spire_join_token": (
        ({"spiffe_id": None}, ("spiffe_id",)),
        ({"spiffe_id": "green"}, ("spiffe_id:", "does not start with spiffe://")),
        ({"spiffe_id": "spiffe://example.org"}, ("spiffe_id:", "cannot be an alias", "needs a path")),
        ({"spiffe_id": "spiffe://example.org/spire/agent/x"}, ("spiffe_id:", "below /spire")),
        ({"spiffe_id": "spiffe://example.org/a//b"}, ("spiffe_id:", "empty segment")),
        ({"ttl": 0}, ("ttl: 0", "between 1 and")),
        ({"ttl": -1}, ("ttl: -1", "between 1 and")),
        ({"ttl": 2**31}, ("ttl:", "between 1 and")),
        ({"ttl": "10m"}, ("ttl", "int")),
        ({"dest": "/"}, ("dest:", "is a folder")),
        ({"dest": "/nonexistent/folder/token"}, ("dest:", "does not exist")),
        ({"dest": ""}, ("dest",)),
        ({"force": "perhaps"}, ("force", "bool")),
        ({"spiffe_ids": [NODE]}, ("spiffe_ids", "Supported parameters")),
        ({"tokens": [{"spiffe_id": NODE}]}, ("spiffe_id|tokens", "mutually exclusive")),
        (tokens({}), ("tokens[1]", "spiffe_id", "missing")),
        (tokens({"spiffe_id": "x"}), ("tokens[1].spiffe_id", "does not start with spiffe://")),
        (tokens({"spiffe_id": NODE}), ("tokens[1].spiffe_id", "tokens[0]", "its own")),
        (tokens({"spiffe_id": f"{NODE}2", "dest": "/tmp/a"}), ("tokens[1].dest", "tokens[0]", "its own")),
        (tokens({"spiffe_id": f"{NODE}2", "dest": "/tmp"}), ("tokens[1].dest", "is a folder")),
        (tokens({"spiffe_id": f"{NODE}2", "dest": "/nonexistent/b"}), ("tokens[1].dest", "does not exist")),
        (tokens({"spiffe_id": f"{NODE}2", "ttl": 0}), ("tokens[1].ttl", "between 1 and")),
        (tokens({"spiffe_id": f"{NODE}2", "token": "x"}), ("tokens[1]", "token", "Supported parameters")),
    ),
    "spire_agent": (
        ({"state": None}, ("state", "missing")),
        ({"state": "absent"}, ("state", "evicted, banned, purged")),
        ({"spiffe_ids": None}, ("state=evicted needs the agents", "every agent")),
        ({"spiffe_ids": []}, ("spiffe_ids:", "the list is empty")),
        ({"aliases": []}, ("aliases:", "the list is empty")),
        ({"selectors": []}, ("selectors:", "the list is empty")),
        ({"spiffe_ids": ["green"]}, ("spiffe_ids[0]", "does not start with spiffe://")),
        ({"spiffe_ids": [NODE]}, ("spiffe_ids[0]", "is no agent's SPIFFE ID", "use aliases")),
        ({"spiffe_ids": [AGENT, "spiffe://example.org/spire/server"]}, ("spiffe_ids[1]", "is no agent's SPIFFE ID")),
        ({"aliases": ["x"]}, ("aliases[0]", "does not start with spiffe://")),
        ({"aliases": [NODE, AGENT]}, ("aliases[1]", "cannot be an alias")),
        ({"selectors": ["k8s_psat"]}, ("selectors[0]", "type:value")),
        ({"state": "purged", "expired_for": -1}, ("expired_for: -1", "Give a number of seconds")),
        ({"state": "purged", "attestation_type": ""}, ("attestation_type:", "which no agent has")),
        ({"state": "purged", "expired_for": "1d"}, ("expired_for", "int")),
    ),
    "spire_agent_info": (
        ({"spiffe_ids": ["x"]}, ("spiffe_ids[0]", "does not start with spiffe://")),
        ({"aliases": [AGENT]}, ("aliases[0]", "cannot be an alias")),
        ({"selectors": ["a:b", "c"]}, ("selectors[1]", "type:value")),
        ({"selectors": ["a:b "]}, ("selectors[0]", "blanks around it")),
        ({"selectors": []}, ("selectors:", "would filter nothing")),
        ({"attestation_type": ""}, ("attestation_type:", "would filter nothing")),
        ({"selectors_match": "all"}, ("selectors_match", "exact, any, superset, subset")),
        ({"expires_before": "tomorrow"}, ("expires_before", "int")),
        ({"expires_before": 10**15}, ("expires_before:", "seconds since 1970")),
        ({"banned": "maybe"}, ("banned", "bool")),
    ),
    "spire_authority": (
        ({"state": None}, ("state", "missing")),
        ({"state": "renewed"}, ("state", "rotated, prepared")),
        ({"type": "ssh"}, ("type", "x509, jwt, upstream")),
        ({"state": "rotated"}, ("authority_id", "older_than")),
        ({"state": "rotated", "authority_id": "a" * 40, "older_than": 1}, ("mutually exclusive", "older_than")),
        ({"state": "activated"}, ("authority_id", "missing")),
        ({"state": "tainted"}, ("authority_id", "missing")),
        ({"state": "revoked"}, ("authority_id", "missing")),
        ({"authority_id": "a" * 40}, ("authority_id:", "state=prepared takes none")),
        ({"state": "revoked", "authority_id": "x"}, ("authority_id:", "'x'", "spire_server_info shows")),
        ({"state": "revoked", "type": "jwt", "authority_id": "a b"}, ("authority_id:", "'a b'")),
        ({"type": "upstream"}, ("type=upstream:", "Use type=x509")),
        ({"state": "rotated", "older_than": -1}, ("older_than: -1", "Give a number of seconds")),
        ({"state": "rotated", "older_than": 1, "type": "jwt"}, ("older_than:", "jwt", "Give authority_id")),
        ({"propagation": -1}, ("propagation: -1", "Give a number of seconds")),
        ({"renewal_timeout": -1}, ("renewal_timeout: -1", "Give a number of seconds")),
        ({"upstream_timeout": -1}, ("upstream_timeout: -1", "Give a number of seconds")),
        ({"upstream_authority_id": "x"}, ("upstream_authority_id:", "'x'", "40 digits", "subject key id")),
        ({"upstream_authority_id": "a" * 40, "type": "jwt"}, ("upstream_authority_id:", "type=x509")),
        (
            {"state": "activated", "authority_id": "a" * 40, "upstream_authority_id": "b" * 40},
            ("upstream_authority_id:", "state=prepared only"),
        ),
        ({"state": "revoked", "authority_id": "a" * 40, "wait": True}, ("wait:", "state=tainted only")),
        ({"renewal_file": "/tmp/x"}, ("renewal_file:", "state=tainted and wait")),
        ({"peer_timeout": -1}, ("peer_timeout: -1", "Give a number of seconds")),
        ({"peers": [{"name": "shop"}], "type": "jwt"}, ("peers:", "type=jwt has none", "propagation")),
        ({"peers": ["shop"]}, ("peers[0]",)),
        (peers(name=None), ("peers[1]", "name", "missing")),
        (peers(name=" "), ("peers[1].name:", "it is empty")),
        (peers(name="shop"), ("peers[1].name:", "'shop' is the name of another peer")),
        (peers(name="a\nb"), ("peers[1].name:", "line break")),
        (peers(pod="x", pod_selector="a=b"), ("mutually exclusive", "pod_selector", "peers")),
        (peers(container="spire-server"), ("peers[1] (bank).container:", "Name the pod")),
        (peers(pod="Bank"), ("peers[1] (bank).pod:", "is no pod")),
        (peers(pod=""), ("peers[1] (bank).pod:", "it is empty")),
        (peers(namespace="A"), ("peers[1] (bank).namespace:", "no name of Kubernetes")),
        (peers(socket_path="api.sock"), ("peers[1] (bank).socket_path:", "not an absolute path")),
        (peers(timeout=5), ("peers[1]", "timeout", "Supported parameters")),
    ),
    "spire_node_certificate": (
        ({"path": None}, ("path", "missing")),
        ({"path": "vm1"}, ("path:", "'vm1'", "absolute")),
        ({"path": "/etc"}, ("path:", "for certificates alone")),
        ({"mode": "external_pki"}, ("mode is external_pki", "ca_path")),
        ({"ca_path": "/nonexistent/vm1"}, ("path:", "ca_path", "folder of its own")),
        ({"trust_domain": "Example.org"}, ("trust_domain:", "lower case")),
        ({"name": None}, ("name", "missing")),
        ({"name": "a b"}, ("name:", "'a b'", "no name of a node")),
        ({"name": LONG}, ("name:", "1 to 64")),
        ({"name": "a\nb"}, ("name:", "line break")),
        ({"mode": "own"}, ("mode", "external_pki, spiffe")),
        ({"spiffe_id": None}, ("mode is spiffe", "spiffe_id")),
        ({"spiffe_id": "vm1"}, ("spiffe_id:", "does not start with spiffe://")),
        ({"spiffe_id": "spiffe://other.org/a"}, ("spiffe_id:", "none of a node of example.org")),
        ({"spiffe_id": AGENT}, ("spiffe_id:", "not one below /spire/")),
        ({"valid_days": 0}, ("valid_days: 0", "from 1")),
        ({"ca_valid_days": 36500}, ("ca_valid_days: 36500", "3650")),
    ),
    "spire_upstream_ca": (
        ({"path": None}, ("path", "missing")),
        ({"path": "ca"}, ("path:", "'ca'", "absolute")),
        ({"path": "/"}, ("path:", "folder for a CA alone")),
        ({"path": "/etc"}, ("path:", "folder for a CA alone")),
        ({"trust_domain": "Example.org"}, ("trust_domain:", "lower case")),
        ({"valid_days": 0}, ("valid_days: 0", "from 1")),
        ({"valid_days": 36500}, ("valid_days: 36500", "3650")),
        ({"valid_days": 10}, ("renew_before_days: 30", "valid_days")),
        ({"key_type": "rsa-1024"}, ("key_type", "ec-p256, ec-p384")),
        ({"certificate": "/nonexistent/a"}, ("certificate", "private_key")),
        ({"bundle": "/nonexistent/a"}, ("bundle", "certificate")),
        (
            {"certificate": "/nonexistent/a", "private_key": "/nonexistent/b"},
            ("certificate: /nonexistent/a cannot be read",),
        ),
        ({"certificate": "a", "private_key": "/nonexistent/b"}, ("certificate:", "no absolute path")),
        ({"secret_name": "A_b"}, ("secret_name:", "'A_b'", "no name of a Secret")),
        ({"secret_name": "-n"}, ("secret_name:", "no name of a Secret")),
        ({"purge": True}, ("purge:", "state=absent only")),
        ({"pair": "previous", "state": "rotating"}, ("pair:", "state=present")),
        ({"scenario": "a\nb"}, ("scenario:", "line break")),
    ),
    "spire_bundle": (
        ({"bundles": None}, ("bundles", "missing")),
        ({"bundles": [{}]}, ("bundles[0]", "trust_domain", "missing")),
        ({"bundles": [{"trust_domain": ""}]}, ("bundles[0].trust_domain", "empty")),
        ({"bundles": [{"trust_domain": "Other.org"}]}, ("bundles[0].trust_domain", "lower case")),
        ({"bundles": [{"trust_domain": "spiffe://a.org/x"}]}, ("bundles[0].trust_domain", "path")),
        ({"bundles": [{"trust_domain": "a"}, {"trust_domain": "a"}]}, ("bundles[1].trust_domain", "bundles[0]")),
        ({"delete_mode": "force"}, ("delete_mode", "restrict, dissociate, delete")),
        ({"delete_mode": "delete"}, ("delete_mode:", "acknowledge_entry_deletion")),
        (bundle(), ("bundles[1]", "bundle", "src")),
        (bundle(bundle="x", src="/x"), ("bundles[1]", "bundle", "src")),
        (bundle(src="/nonexistent.pem"), ("bundles[1] (third.org).src", "/nonexistent.pem")),
        (bundle(bundle=""), ("bundles[1] (third.org).bundle",)),
        (bundle(bundle="no bundle"), ("bundles[1] (third.org).bundle",)),
        (bundle(bundle="{", format="spiffe"), ("bundles[1] (third.org).bundle",)),
        (bundle(bundle='{"keys": 5}', format="spiffe"), ("bundles[1] (third.org).bundle",)),
        (bundle(bundle="x", format="der"), ("bundles[1]", "format", "pem, spiffe")),
        (bundle(bundle=PRIVATE_KEY), ("bundles[1] (third.org).bundle", "private key")),
        (bundle(bundle={"keys": [{"kty": "EC", "d": "secret"}]}), ("bundles[1] (third.org).bundle", "private key")),
    ),
    "spire_bundle_info": (({"federated": "some"}, ("federated", "bool")),),
    "spire_federation": (
        ({"relationships": None}, ("relationships", "missing")),
        ({"relationships": [{"trust_domain": "a/b"}]}, ("relationships[0].trust_domain",)),
        ({"refresh": True}, ("refresh:", "state=absent")),
        ({"refresh_timeout": 0}, ("refresh_timeout: 0", "positive number of seconds")),
        ({**relationship(), "delete_bundles": True}, ("delete_bundles:", "state=present")),
        (relationship(trust_domain="other.org"), ("relationships[1].trust_domain", "relationships[0]")),
        (relationship(bundle_endpoint_url=None), ("relationships[1] (third.org).bundle_endpoint_url",)),
        (relationship(bundle_endpoint_profile=None), ("relationships[1] (third.org).bundle_endpoint_profile",)),
        (relationship(bundle_endpoint_profile="http"), ("relationships[1]", "https_web, https_spiffe")),
        (
            relationship(bundle_endpoint_url="http://a.org/"),
            ("relationships[1] (third.org).bundle_endpoint_url", "https"),
        ),
        (relationship(bundle_endpoint_url="https://"), ("relationships[1] (third.org).bundle_endpoint_url", "host")),
        (
            relationship(bundle_endpoint_url="https://u:p@a.org/"),
            ("relationships[1] (third.org).bundle_endpoint_url", "user"),
        ),
        (relationship(bundle_endpoint_url="a.org"), ("relationships[1] (third.org).bundle_endpoint_url", "https")),
        (
            relationship(bundle_endpoint_url="https://a.org:x/"),
            ("relationships[1] (third.org).bundle_endpoint_url", "Port"),
        ),
        (
            relationship(endpoint_spiffe_id="spiffe://a.org/x"),
            ("relationships[1] (third.org).endpoint_spiffe_id", "https_web"),
        ),
        (relationship(bundle_endpoint_profile="https_spiffe"), ("relationships[1] (third.org).endpoint_spiffe_id",)),
        (
            relationship(bundle_endpoint_profile="https_spiffe", endpoint_spiffe_id="x"),
            ("relationships[1] (third.org).endpoint_spiffe_id", "does not start with spiffe://"),
        ),
        (relationship(bundle=PRIVATE_KEY), ("relationships[1] (third.org).bundle", "private key")),
        (relationship(bundle="x", src="/x"), ("relationships[1]", "bundle", "src")),
        (relationship(url="https://x"), ("relationships[1]", "url", "Supported parameters")),
    ),
    "spire_federation_info": (
        ({"probe_timeout": 0}, ("probe_timeout: 0", "positive number of seconds")),
        ({"trust_domains": ["a.org", "A.org"]}, ("trust_domains[1]", "lower case")),
        ({"trust_domains": [""]}, ("trust_domains[0]", "empty")),
    ),
}


def table() -> list[Any]:
    rows = [(module, *case) for module in GOOD for case in CONNECTION]
    rows += [(module, *case) for module, cases in OWN.items() for case in cases]
    return [pytest.param(*row, id=f"{row[0]}-{number}") for number, row in enumerate(rows)]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that leaves a trace beside itself when it is run."""
    path = tmp_path_factory.mktemp("trap") / "program"
    path.write_text('#!/bin/sh\ntouch "$0.was-run"\nexit 1\n')
    path.chmod(0o755)
    return path


def run(module: str, args: dict[str, Any], trap: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a module in this process, and return what it prints."""
    both = {"binary": str(trap), "kubectl": str(trap), **GOOD[module], **args}
    content = both.pop("content", None)
    if content is not None:
        both["src"] = str(trap.with_name(both["src"]))
        Path(both["src"]).write_bytes(content.encode(errors="surrogateescape"))
    given = {name: value for name, value in both.items() if value is not None}
    with patch_module_args(given), pytest.raises(SystemExit):
        importlib.import_module(f"{PACKAGE}.{module}").main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def trace(trap: Path) -> Path:
    return trap.with_name("program.was-run")


@pytest.mark.parametrize(("module", "args", "words"), table())
def test_bad_input_is_refused_and_nothing_is_called(
    module: str, args: dict[str, Any], words: tuple[str, ...], trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace(trap).unlink(missing_ok=True)
    result = run(module, args, trap, capsys)
    assert result.get("failed"), result
    assert not result.get("changed")
    for word in words:
        assert word in result["msg"]
    assert PRIVATE_KEY.splitlines()[1] not in json.dumps(result)
    assert not trace(trap).exists(), f"The server was called before this was refused: {result['msg']}"


@pytest.mark.parametrize("module", GOOD)
def test_a_zero_byte_leads_nowhere(module: str, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace(trap).unlink(missing_ok=True)
    result = run(module, {"binary": "/a\0b"}, trap, capsys)
    assert result.get("failed"), result
    # Since Python 3.12 syslog does not take it, in which Ansible writes the options before it asks the module.
    assert "binary:" in result["msg"] or "embedded null character" in result["msg"]
    assert not trace(trap).exists()


@pytest.mark.parametrize("module", GOOD)
def test_good_input_gets_to_the_server(module: str, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace(trap).unlink(missing_ok=True)
    assert run(module, {}, trap, capsys).get("failed")
    assert trace(trap).exists(), "So the rows above would prove nothing."


def test_the_tables_are_about_every_module_and_long_enough() -> None:
    assert set(GOOD) == {path.stem for path in (ROOT / "plugins/modules").glob("spire_*.py")}
    assert len(CONNECTION) + sum(len(cases) for cases in OWN.values()) >= 150
