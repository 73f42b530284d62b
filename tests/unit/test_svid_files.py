# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""svid_files without an agent: what is written for what was given, and what a folder is like at each moment."""

from __future__ import annotations

import argparse
import datetime
import os
import stat
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from certificates import HOUR, NOW, Identity, issue
from cryptography import x509
from programs import PROGRAMS, load

svid_files = load("svid_files")
Names, Refused, Waiting = svid_files.Names, svid_files.Refused, svid_files.Waiting

ROOTS = [issue(ca=True, name=f"root {number}") for number in range(2)]
ID = "spiffe://example.org/client"


class Id(str):
    """A SPIFFE ID as the library has it."""

    @property
    def trust_domain(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.removeprefix("spiffe://").partition("/")[0])


def svid(spiffe_id: str = ID, key: Identity | None = None, **fields: Any) -> SimpleNamespace:
    leaf = issue(spiffe_id, by=ROOTS[0], **fields)
    return SimpleNamespace(
        spiffe_id=Id(spiffe_id),
        leaf=leaf.certificate,
        cert_chain=[leaf.certificate, ROOTS[0].certificate],
        private_key=(key or leaf).key,
    )


def bundle(*roots: Identity) -> SimpleNamespace:
    return SimpleNamespace(x509_authorities={root.certificate for root in roots or ROOTS})


def files(names: Any = None, **bundles: Any) -> dict[str, Any]:
    found: dict[str, Any] = svid_files.files_of(svid(), {"example.org": bundle(), **bundles}, names or Names())
    return found


def listed(folder: Path) -> dict[str, int]:
    """Return the files below a folder, as a reader finds them by their names, with their modes."""
    found = {}
    for entry in folder.iterdir():
        if not entry.name.startswith(".."):
            below = sorted(entry.iterdir()) if entry.is_dir() else [entry]
            found |= {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in below}
    return found


def versions(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if svid_files.VERSION.fullmatch(entry.name))


# What is written


def test_chain_key_and_bundle_are_written_as_pem() -> None:
    made = files()
    chain = x509.load_pem_x509_certificates(made["svid.pem"].content)
    assert [one.subject for one in chain][1:] == [ROOTS[0].certificate.subject]
    assert made["svid.key"].content.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    roots = x509.load_pem_x509_certificates(made["bundle.pem"].content)
    assert set(roots) == {root.certificate for root in ROOTS}
    assert {name: file.mode for name, file in made.items()} == {
        **{"svid.pem": 0o644, "bundle.pem": 0o644},
        "svid.key": 0o600,
    }


def test_the_same_bundle_is_the_same_file() -> None:
    again = SimpleNamespace(x509_authorities=[root.certificate for root in reversed(ROOTS)])
    assert svid_files.authorities(bundle()) == svid_files.authorities(again)


def test_one_file_can_hold_chain_and_key_and_is_as_secret_as_the_key() -> None:
    made = files(Names(combined="both.pem", key_mode=0o640))
    assert made["both.pem"].content == made["svid.pem"].content + made["svid.key"].content
    assert made["both.pem"].mode == made["svid.key"].mode == 0o640


def test_a_federated_bundle_has_a_file_of_its_own() -> None:
    other = issue(ca=True, name="other")
    bundles = {"other.org": bundle(other), "..": bundle(other), "example.org": bundle()}
    made = files(Names(federated="federated"), **bundles)
    assert set(made) == {*files(), "federated/other.org.pem", "federated/...pem"}
    assert made["federated/other.org.pem"].content == other.pem.encode()
    assert other.pem.encode() not in made["bundle.pem"].content, "no trust domain speaks for another one"
    assert set(files(**bundles)) == set(files()), "only when it is asked for"


@pytest.mark.parametrize("domain", ["a/b", "../x", "x\n", "", "a" * 251, "Ä"])
def test_a_trust_domain_that_can_be_no_file_is_left_out(domain: str) -> None:
    assert set(files(Names(federated="federated"), **{domain: bundle()})) == set(files())


def test_a_key_is_never_printed() -> None:
    assert "PRIVATE" not in repr(files())


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(Waiting, match="a key that is not that of the certificate"):
        svid_files.files_of(svid(key=issue()), {"example.org": bundle()}, Names())
    for bundles in ({}, {"other.org": bundle()}, {"example.org": SimpleNamespace(x509_authorities=set())}):
        with pytest.raises(Waiting, match=r"no bundle of the trust domain example\.org"):
            svid_files.files_of(svid(), bundles, Names())


def test_the_identity_that_is_wanted_is_taken_and_else_the_first() -> None:
    context = SimpleNamespace(x509_svids=[svid(), svid("spiffe://example.org/other")])
    assert svid_files.chosen(context, "").spiffe_id == ID
    assert svid_files.chosen(context, "spiffe://example.org/other").spiffe_id == "spiffe://example.org/other"
    with pytest.raises(Waiting, match=rf"gives {ID}, spiffe://example\.org/other, and not spiffe://example\.org/third"):
        svid_files.chosen(context, "spiffe://example.org/third")


# Names


@pytest.mark.parametrize("name", ["", ".", "..", "..data", ".x", "a/b", "/x", "-x", "a\nb", "a b", "ä", "a" * 101])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        svid_files.file_name(name)


def test_names_are_those_of_different_files() -> None:
    assert svid_files.file_name("svid.0.pem") == "svid.0.pem"
    with pytest.raises(Refused, match="two files have the same name"):
        Names(certificate="one.pem", key="one.pem")


@pytest.mark.parametrize("path", ["", "x", "unix:x", "tcp://127.0.0.1:80", "unix:///a?b", "/a\nb", "unix://host/a b"])
def test_what_is_no_socket_is_refused(path: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        svid_files.socket_path(path)


@pytest.mark.parametrize("path", ["/run/agent.sock", "unix:/run/agent.sock", "unix:///run/agent.sock"])
def test_a_socket_is_written_in_each_of_the_usual_ways(path: str) -> None:
    assert svid_files.socket_path(path) == "/run/agent.sock"


def test_a_log_has_one_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    svid_files.tell("a\nb\x1b[2Jc\u202e" + "d" * 1000)
    assert capsys.readouterr().out.count("\n") == 1
    assert not {"\n", "\x1b", "\u202e"} & set(svid_files.one_line("a\nb\x1b[2Jc\u202e"))


# The folder


def test_a_folder_is_made_and_filled_at_one_moment(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    assert svid_files.write(folder, files(Names(federated="others"), other=bundle()))
    assert listed(folder) == {"svid.pem": 0o644, "svid.key": 0o600, "bundle.pem": 0o644, "others/other.pem": 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    (version,) = versions(folder)
    assert str((folder / "..data").readlink()) == version
    assert str((folder / "svid.key").readlink()) == "..data/svid.key"


def test_modes_do_not_depend_on_the_mask_of_the_process(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        svid_files.write(tmp_path / "open", files())
        os.umask(0o077)
        svid_files.write(tmp_path / "closed", files())
    finally:
        os.umask(before)
    assert listed(tmp_path / "open") == listed(tmp_path / "closed")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o755


def test_the_group_of_a_volume_is_handed_on(tmp_path: Path) -> None:
    """As the kubelet makes an emptyDir of a pod that has an fsGroup. With --key-mode that group may read the key."""
    tmp_path.chmod(0o2777)
    svid_files.write(tmp_path / "svid", files(Names(federated="others", key_mode=0o640), other=bundle()))
    (version,) = versions(tmp_path / "svid")
    for folder in (tmp_path / "svid", tmp_path / "svid" / version, tmp_path / "svid" / version / "others"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2755
    assert listed(tmp_path / "svid")["svid.key"] == 0o640


def test_the_same_files_are_not_written_again(tmp_path: Path) -> None:
    made = files()
    assert svid_files.write(tmp_path / "svid", made)
    before = versions(tmp_path / "svid")
    assert not svid_files.write(tmp_path / "svid", made)
    assert versions(tmp_path / "svid") == before


def test_the_version_before_stays_and_older_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    for _number in range(4):
        svid_files.write(folder, files(Names(federated="others"), other=bundle()))
    assert len(versions(folder)) == 2
    assert str((folder / "..data").readlink()) in versions(folder)


def test_what_a_process_that_was_killed_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    svid_files.write(folder, files())
    half = folder / "..2026_11_28_01_02_03.0123abcd"
    half.mkdir()
    (half / "svid.pem").write_text("half")
    (folder / svid_files.FRESH).symlink_to(half.name)
    svid_files.write(folder, files())
    assert not half.exists()
    assert listed(folder).keys() == {"svid.pem", "svid.key", "bundle.pem"}


def test_files_that_are_no_longer_wanted_go(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    svid_files.write(folder, files(Names(combined="both.pem")))
    svid_files.write(folder, files(Names(key="tls.key")))
    assert listed(folder).keys() == {"svid.pem", "tls.key", "bundle.pem"}


def test_what_is_not_of_this_program_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    folder.mkdir(mode=0o755)
    (folder / "mine").write_text("mine")
    svid_files.write(folder, files())
    assert (folder / "mine").read_text() == "mine"
    with pytest.raises(Refused, match="mine is there, and is not of this program"):
        svid_files.write(folder, files(Names(key="mine")))


@pytest.mark.parametrize("name", ["svid.key", "..data"])
@pytest.mark.parametrize("leads_to", ["elsewhere", "..data/other", "", "/dev/null"])
def test_no_link_leads_a_key_elsewhere(tmp_path: Path, name: str, leads_to: str) -> None:
    folder = tmp_path / "svid"
    folder.mkdir(mode=0o755)
    (tmp_path / "elsewhere").mkdir()
    if leads_to:
        (folder / name).symlink_to(tmp_path / leads_to if leads_to == "elsewhere" else leads_to)
    else:
        (folder / name).write_text("mine")
    with pytest.raises(Refused, match="is there, and is not of this program"):
        svid_files.write(folder, files())
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert versions(folder) == []


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777, 0o2775])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "svid"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(
        Refused, match=rf"others may write to {folder} .* Name a folder below it, such as {folder}/svid"
    ):
        svid_files.write(folder, files())
    assert list(folder.iterdir()) == []
    svid_files.write(folder / "svid", files())


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(Refused, match=rf"belongs to user {tmp_path.stat().st_uid}, and this is user"):
        svid_files.write(tmp_path, files())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["link", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    if what == "link":
        (tmp_path / "svid").symlink_to("real")
    else:
        (tmp_path / "svid").write_text("mine")
    with pytest.raises(Refused, match="is no folder, or a link to one"):
        svid_files.write(tmp_path / "svid", files())
    assert list((tmp_path / "real").iterdir()) == []


def test_who_reads_all_the_time_never_sees_what_does_not_fit(tmp_path: Path) -> None:
    """Two ways that are always right: to open ..data once, and to read one file that has both."""
    folder, names = tmp_path / "svid", Names(combined="both.pem")
    made = [files(names) for _number in range(8)]
    fitting = {file["svid.pem"].content: file["svid.key"].content for file in made}
    whole = {file["both.pem"].content for file in made}
    svid_files.write(folder, made[0])
    seen: list[bool] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            version = os.open(folder / "..data", os.O_RDONLY | os.O_DIRECTORY)
            try:
                pair = [Path(f"/proc/self/fd/{version}", name).read_bytes() for name in ("svid.pem", "svid.key")]
                seen.append(fitting[pair[0]] == pair[1] and (folder / "both.pem").read_bytes() in whole)
            except FileNotFoundError:
                pass  # it was written twice meanwhile, which takes a minute elsewhere
            finally:
                os.close(version)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        assert svid_files.write(folder, made[(number + 1) % len(made)])
    ended.set()
    reader.join()
    assert len(seen) > 50
    assert all(seen)


# The probe


def test_the_probe_says_until_when_the_files_are_valid(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    svid_files.write(tmp_path / "svid", files())
    assert svid_files.check(tmp_path / "svid", Names(), now) == f"valid until {NOW + HOUR:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_probe_fails_outside_of_the_time_of_the_certificate(tmp_path: Path, hours: int) -> None:
    svid_files.write(tmp_path / "svid", files())
    with pytest.raises(Refused, match="is valid from"):
        svid_files.check(tmp_path / "svid", Names(), NOW + hours * HOUR)


def test_the_probe_fails_without_files_and_with_others(tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    with pytest.raises(Refused, match="there are no files in"):
        svid_files.check(folder, Names(), NOW)
    folder.mkdir(mode=0o755)
    with pytest.raises(Refused, match="there are no files in"):
        svid_files.check(folder, Names(), NOW)
    made = files()
    svid_files.write(folder, made)
    with pytest.raises(Refused, match=r"has no file 'tls\.key'"):
        svid_files.check(folder, Names(key="tls.key"), NOW)
    svid_files.write(folder, {**made, "svid.key": files()["svid.key"]})
    with pytest.raises(Refused, match="the key is not that of the certificate"):
        svid_files.check(folder, Names(), NOW)
    svid_files.write(folder, {**made, "svid.pem": svid_files.File(b"", 0o644)})
    with pytest.raises(Refused, match="cannot be read"):
        svid_files.check(folder, Names(), NOW)


def test_the_program_is_all_that_is_in_its_folder() -> None:
    assert {path.name for path in (PROGRAMS / "svid_files").iterdir()} == {
        *("main.py", "requirements.in", "requirements.txt")
    }
