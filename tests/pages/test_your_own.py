# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/your_own.md from its beginning to its end, and the pages that need a mesh that is up.

The tests follow one another, as the sections of the page do.
"""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml

from .conftest import ROOT, RUN, Estate, Guide, blocks, changed

PAGE = ROOT / "docs" / "your_own.md"
SHARED = "mine/group_vars/all.yml"


@pytest.fixture(scope="module")
def own(estate: Estate) -> Estate:
    """The two services of the page, and the files that it gives."""
    estate.deploy("eu", "shop", "shop", "tools", "sleep", "infinity")
    estate.deploy("us", "billing", "billing", "quote", "python3", "/app/main.py", "--port=8080")
    for block in [*blocks(PAGE, "ini"), *blocks(PAGE, "yaml")]:
        name = re.match(r"# (mine/\S+)\n", block)
        if name:
            path = estate.folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(estate.text(block))
    return estate


def follow(estate: Estate, words: str, *more: str) -> str:
    """Do what the page says to run."""
    (line,) = [block.removeprefix(RUN) for block in blocks(PAGE, "shell") if block.startswith(RUN) and words in block]
    argv = shlex.split(estate.text(line))
    return estate.ansible(*argv[1:], *more) if argv[0] == "ansible-playbook" else estate.run(*argv)


def proven(estate: Estate, scenario: str = "mine") -> set[tuple[str, str]]:
    """What the last run has proven, by its report: kind and name."""
    report = json.loads((estate.build / "reports" / f"{scenario}.json").read_text())
    return {(check["kind"], check["name"]) for check in report["checks"] if check["status"] == "pass"}


def the_proof_of_the_page() -> set[tuple[str, str]]:
    (text,) = [block for block in blocks(PAGE, "text") if block.startswith("positive")]
    return {(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines()}


def test_the_page_is_at_most_forty_lines_of_inventory(own: Estate) -> None:
    files = [path for path in (own.folder / "mine").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert sum(len([line for line in path.read_text().splitlines() if line]) for path in files) <= 40


def test_show_says_who_is_who(own: Estate) -> None:
    shown = follow(own, "trustmesh.spiffe.show")
    for name in ("shop", "billing"):
        assert f"spiffe://corp.example/ns/{name}/sa/{name}" in shown


def test_check_mode_goes_through_where_nothing_is_yet(own: Estate) -> None:
    follow(own, "trustmesh.spiffe.site", "--check")
    assert own.names("eu", "namespaces") >= {"namespace/shop"}
    assert "namespace/spire-server" not in own.names("eu", "namespaces")
    assert own.containers("eu", "shop", "shop") == ["shop"]


def test_a_run_ends_with_the_proof_that_the_page_shows(own: Estate) -> None:
    follow(own, "trustmesh.spiffe.site")
    assert proven(own) == the_proof_of_the_page()
    assert (own.build / "reports" / "mine.html").is_file()


def test_a_second_run_and_its_prediction_change_nothing(own: Estate) -> None:
    assert changed(follow(own, "trustmesh.spiffe.site", "--check")) == 0
    assert changed(follow(own, "trustmesh.spiffe.site")) == 0


def test_the_proof_alone(own: Estate) -> None:
    output = follow(own, "trustmesh.spiffe.verify")
    assert changed(output) == 0
    assert proven(own) == the_proof_of_the_page()


def test_shop_calls_billing(own: Estate) -> None:
    assert "URI=spiffe://corp.example/ns/shop/sa/shop" in follow(own, "exec deployment/shop"), (
        "billing tells who called"
    )


def of_cart_and_web(own: Estate, text: str) -> str:
    """A page that tells of cart and web, told of billing and shop."""
    port = own.kubectl(
        "us", "-n", "billing", "get", "service", "billing-envoy", "-o", "jsonpath={.spec.ports[0].nodePort}"
    )
    (address,) = own.kubectl("us", "get", "nodes", "-o", "jsonpath={.items[*].status.addresses[0].address}").split()
    text = text.replace("cart.corp.example:8443", f"{address}:{port}")
    return text.replace("ns/cart/sa/cart", "ns/billing/sa/billing").replace("ns/shop/sa/web", "ns/shop/sa/shop")


def test_the_page_of_the_role_verify(own: Estate) -> None:
    page = blocks(ROOT / "roles" / "verify" / "README.md", "yaml")[0]
    own.play(yaml.safe_load(of_cart_and_web(own, page)), "eu")
    assert proven(own) == {
        ("positive", "web may call cart"),
        ("negative", "nobody may call cart without a certificate"),
    }


def test_the_page_of_the_proof_alone(own: Estate) -> None:
    proof = Guide(own, ROOT / "docs" / "proof.md")
    proof.write_files()
    path = own.folder / "proof" / "group_vars" / "all.yml"
    path.write_text(of_cart_and_web(own, path.read_text()))
    assert changed(proof.follow("spiffe.verify")) == 0
    assert len(proven(own, "proof")) == 3


def test_one_more_and_one_less(own: Estate) -> None:
    shared, us = own.folder / SHARED, own.folder / "mine" / "host_vars" / "us.yml"
    before = shared.read_text(), us.read_text()
    more, door = [
        next(block for block in blocks(PAGE, "yaml") if words in block) for words in ("refunds:", "NetworkPolicy")
    ]
    own.deploy("eu", "refunds", "refunds", "tools", "sleep", "infinity")
    shared.write_text(yaml.safe_dump({**yaml.safe_load(before[0]), **yaml.safe_load(more)}))
    us.write_text(before[1] + door)
    follow(own, "trustmesh.spiffe.site")
    assert ("positive", "refunds may call billing") in proven(own)
    policy = ("networkpolicies", "-n", "billing")
    assert own.names("us", *policy) == {"networkpolicy.networking.k8s.io/billing-by-envoy-only"}
    assert len(own.containers("eu", "refunds", "refunds")) == 2

    (taking_out,) = [block for block in blocks(PAGE, "shell") if "--field-manager" in block]
    own.run("bash", "-euc", own.text(taking_out))
    assert own.containers("eu", "refunds", "refunds") == ["refunds"]
    for path, text in zip((shared, us), before, strict=True):
        path.write_text(text)
    follow(own, "trustmesh.spiffe.site")
    assert proven(own) == the_proof_of_the_page()
    assert own.names("us", *policy) == set()
    assert not {name for name in own.names("eu", "configmaps", "-n", "refunds") if "refunds" in name}


def test_it_is_taken_out_again_as_foretold_and_nothing_of_others(own: Estate) -> None:
    foretold = changed(follow(own, "trustmesh.spiffe.teardown", "--check"))
    assert changed(follow(own, "trustmesh.spiffe.teardown")) == foretold
    for cluster, name in (("eu", "shop"), ("us", "billing")):
        assert own.containers(cluster, name, name) == [name]
        ours = "app.kubernetes.io/managed-by=trustmesh.spiffe"
        kinds = (
            "namespaces,deployments,daemonsets,statefulsets,services,configmaps,secrets,clusterroles,networkpolicies"
        )
        left = own.names(cluster, kinds, "--all-namespaces", "--selector", ours)
        assert {one for one in left if "node-network" not in one} == set()
        assert own.names(cluster, "persistentvolumeclaims", "--all-namespaces") == set()
    assert changed(follow(own, "trustmesh.spiffe.teardown")) == 0
