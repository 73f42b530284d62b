# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""svid_files beside a real agent: what readers find at each moment, and what happens when there is nothing to write."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import issue
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from programs import program

from .conftest import Server, binary, running_agent, running_server, wait_until

NODE = "spiffe://example.org/node/files"
ID = "spiffe://example.org/files"
# The agent looks every second whether half of a certificate's time is over. SPIRE lets it begin 10 seconds early, so
# one of 20 seconds is renewed every 5 or 6.
OFTEN = 'experimental { sync_interval = "1s" }'
SHORT = "20"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as one:
        yield one


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return str(server.cli("token", "generate", "-spiffeID", NODE)["value"])


@pytest.fixture
def agent(server: Server, token: str) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that answers. It keeps what it joined with, so each test begins it again."""
    with running_agent(server, token, extra=OFTEN) as process:
        wait_until("the agent answers", lambda: answers(server))
        yield process


def endpoint(server: Server) -> Path:
    return server.folder / "agent" / "agent.sock"


def ask(server: Server, *words: str) -> bool:
    """Whether a command of spire-agent succeeds at the agent."""
    argv = [binary("spire-agent"), *words, "-socketPath", str(endpoint(server))]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def answers(server: Server) -> bool:
    return ask(server, "healthcheck")


@contextlib.contextmanager
def registered(server: Server, *words: str) -> Iterator[None]:
    """An entry that this process and its children fit."""
    uid = f"unix:uid:{os.geteuid()}"
    argv = ("entry", "create", "-parentID", NODE, "-spiffeID", ID, "-selector", uid, "-x509SVIDTTL", SHORT, *words)
    (result,) = server.cli(*argv)["results"]
    assert result["status"]["code"] == 0, result
    try:
        yield
    finally:
        server.cli("entry", "delete", "-entryID", result["entry"]["id"])


def command(server: Server, folder: Path, *words: str) -> list[str]:
    return [
        sys.executable,
        str(program("svid_files")),
        "--socket",
        str(endpoint(server)),
        "--folder",
        str(folder),
        *words,
    ]


def run(server: Server, folder: Path, *words: str) -> tuple[int, str]:
    """Run it to its end."""
    done = subprocess.run(command(server, folder, *words), check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def running(server: Server, folder: Path, *words: str, code: int = 0) -> Iterator[Callable[[], list[str]]]:
    """Leave it running, and give what tells its log by lines. It ends when it is told to, or fails by itself."""
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(command(server, folder, *words), stdout=output, stderr=output)
    try:
        yield lambda: log.read_text().splitlines()
    except BaseException:
        process.kill()
        raise
    else:
        if not code:
            process.send_signal(signal.SIGTERM)
        # A third of what the kubelet gives a container.
        assert process.wait(10) == code
    finally:
        process.kill()
        process.wait()
    assert "PRIVATE" not in log.read_text()


def fits(certificate: bytes, key: bytes) -> bool:
    public = x509.load_pem_x509_certificate(certificate).public_key()
    return public == load_pem_private_key(key, None).public_key()


def beginning(lines: list[str], words: str) -> list[str]:
    """Return the lines of a log that begin so, behind their time."""
    return [line for line in lines if line.partition(" ")[2].startswith(words)]


# Three ways to read a pair, of which each is always right.


def by_version(folder: Path) -> bool:
    """Opens ..data once."""
    version = os.open(folder / "..data", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return fits(*(Path(f"/proc/self/fd/{version}", name).read_bytes() for name in ("svid.pem", "svid.key")))
    finally:
        os.close(version)


def by_one_file(folder: Path) -> bool:
    """Reads the file that holds both, as curl does with --cert and no --key."""
    both = (folder / "both.pem").read_bytes()
    return fits(both, both[both.index(b"-----BEGIN PRIVATE KEY") :])


def by_names(folder: Path) -> bool:
    """Reads by the names, and again when the certificate is another one after the key than before."""
    while True:
        certificate, key = (folder / "svid.pem").read_bytes(), (folder / "svid.key").read_bytes()
        if (folder / "svid.pem").read_bytes() == certificate:
            return fits(certificate, key)


def reading(folder: Path, read: Callable[[Path], bool], ended: threading.Event, seen: list[bool]) -> threading.Thread:
    def loop() -> None:
        while not ended.is_set():
            try:
                seen.append(read(folder))
            except (OSError, ValueError) as error:
                seen.append(False)
                print(f"{read.__name__}: {error!r}")

    thread = threading.Thread(target=loop)
    thread.start()
    return thread


@pytest.mark.usefixtures("agent")
def test_files_are_there_fit_and_are_renewed_under_the_eyes_of_readers(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "svid"
    with registered(server), running(server, folder, "--combined=both.pem") as log:
        wait_until("files are written", (folder / "svid.pem").exists, 40)
        leaf, *_chain = x509.load_pem_x509_certificates((folder / "svid.pem").read_bytes())
        (root,) = x509.load_pem_x509_certificates((folder / "bundle.pem").read_bytes())
        leaf.verify_directly_issued_by(root)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ID]
        assert (folder / "svid.key").stat().st_mode & 0o777 == (folder / "both.pem").stat().st_mode & 0o777 == 0o600

        ended = threading.Event()
        seen: dict[str, list[bool]] = {read.__name__: [] for read in (by_version, by_one_file, by_names)}
        readers = [reading(folder, read, ended, seen[read.__name__]) for read in (by_version, by_one_file, by_names)]
        try:
            wait_until("it is renewed three times", lambda: len(beginning(log(), "written")) >= 4, 60)
        finally:
            ended.set()
            for reader in readers:
                reader.join()
        assert {name: all(right) and len(right) > 100 for name, right in seen.items()} == dict.fromkeys(seen, True)
        written = beginning(log(), "written")
        assert all(line.partition(" ")[2].startswith(f"written: {ID} until 2") for line in written)
        assert len(set(written)) == len(written), "one line for each event"
        assert run(server, folder, "--check")[0] == 0


def test_an_agent_that_is_back_is_seen_at_once(
    server: Server, token: str, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "svid"
    with registered(server), running(server, folder) as log:
        wait_until("files are written", (folder / "svid.pem").exists, 40)
        # At first the agent may not have heard of the entry.
        first = len(beginning(log(), "waiting"))
        agent.kill()
        agent.wait()
        (said,) = wait_until("it is said", lambda: beginning(log(), "waiting")[first:])
        assert said.endswith("waiting: the agent does not answer")
        # The certificate has 20 seconds. gRPC by itself would by then look again every ten seconds, and later still.
        wait_until("it has expired", lambda: len(beginning(log(), "waiting")) > first + 1, 40)
        assert "the certificate in the files has expired at 2" in log()[-1]
        assert len(beginning(log(), "waiting")) == first + 2, "said once, however often it was tried"
        assert run(server, folder, "--check")[0] == 1
        before = len(beginning(log(), "written"))
        with running_agent(server, token, extra=OFTEN):
            wait_until("the agent answers", lambda: answers(server))
            began = time.monotonic()
            wait_until("files are written", lambda: len(beginning(log(), "written")) > before)
            assert time.monotonic() - began < 3
            assert run(server, folder, "--check")[0] == 0


@pytest.mark.usefixtures("agent")
def test_without_an_entry_it_waits_and_says_so(server: Server, tmp_path: Path) -> None:
    # A server goes by its entries of the last five seconds, and another test had one.
    wait_until("the entry is forgotten", lambda: not ask(server, "api", "fetch", "x509"), 30)
    code, said = run(server, tmp_path / "once", "--once", "--timeout=8")
    assert code == 1
    assert "waiting: the agent has no identity for this process: no registration entry fits it" in said
    assert "failed: nothing was written within 8 s: the agent has no identity for this process" in said.splitlines()[-1]
    assert list((tmp_path / "once").iterdir()) == []
    with running(server, tmp_path / "svid") as log:
        wait_until("it is said", lambda: beginning(log(), "waiting: the agent has no identity"), 40)
        assert run(server, tmp_path / "svid", "--check")[0] == 1
        with registered(server):
            wait_until("files are written", lambda: beginning(log(), f"written: {ID}"), 40)
            code, said = run(server, tmp_path / "once", "--once", "--timeout=40")
            assert code == 0, said
            assert by_version(tmp_path / "once")


def test_without_an_agent_it_waits_and_ends_at_its_limit(server: Server, tmp_path: Path) -> None:
    argv = command(server, tmp_path / "svid", "--once", "--timeout=2")
    argv[argv.index("--socket") + 1] = str(tmp_path / "agent.sock")
    began = time.monotonic()
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"nothing was written within 2 s: there is no socket {tmp_path}/agent.sock" in done.stdout
    assert time.monotonic() - began < 20


def test_an_agent_that_hangs_is_asked_anew(server: Server, agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with registered(server), running(server, tmp_path / "svid") as log:
        wait_until("files are written", lambda: beginning(log(), "written"), 40)
        first = len(beginning(log(), "waiting"))
        agent.send_signal(signal.SIGSTOP)
        try:
            code, said = run(server, tmp_path / "once", "--once", "--timeout=3")
            assert code == 1
            assert "failed: nothing was written within 3 s: the agent has not answered" in said
            wait_until("it is said", lambda: beginning(log(), "waiting")[first:], 40)
            # While the certificate in the files is still good, and again when its time is over.
            assert "the agent has not answered" in log()[-1]
            before = len(beginning(log(), "written"))
        finally:
            agent.send_signal(signal.SIGCONT)
        wait_until("files are written", lambda: len(beginning(log(), "written")) > before)


def test_what_an_agent_said_is_told_at_the_end_though_a_last_try_had_no_answer(
    server: Server, agent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    wait_until("the entry is forgotten", lambda: not ask(server, "api", "fetch", "x509"), 30)
    with running(server, tmp_path / "once", "--once", "--timeout=8", code=1) as log:
        wait_until("it is said", lambda: beginning(log(), "waiting: the agent has no identity"))
        agent.send_signal(signal.SIGSTOP)
        try:
            (said,) = wait_until("it ends", lambda: beginning(log(), "failed"), 20)
        finally:
            agent.send_signal(signal.SIGCONT)
    assert "nothing was written within 8 s: the agent has no identity for this process" in said
    assert said.endswith("; asked once more, the agent had not answered by then")


@pytest.mark.usefixtures("agent")
def test_bundles_of_federated_trust_domains_have_files_of_their_own(server: Server, tmp_path: Path) -> None:
    other = issue("spiffe://other.example", ca=True, name="other")
    server.cli("bundle", "set", "-id", "spiffe://other.example", "-format", "pem", stdin=other.pem)
    with registered(server, "-federatesWith", "spiffe://other.example"):
        # At first the agent may know the entry and not yet the bundle.
        with running(server, tmp_path / "svid", "--federated=others"):
            wait_until("its file is there", (tmp_path / "svid/others/other.example.pem").exists, 40)
        assert (tmp_path / "svid/others/other.example.pem").read_text() == other.pem
        assert other.pem not in (tmp_path / "svid/bundle.pem").read_text()


@pytest.mark.usefixtures("agent")
def test_a_folder_that_it_may_not_own_ends_it_before_it_asks_for_a_key(server: Server, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")
    with registered(server):
        for folder, why in {
            tmp_path / "open": "others may write to",
            tmp_path / "link": "is no folder, or a link to one",
            tmp_path / "file/svid": "Not a directory",
            tmp_path / "missing/svid": "No such file or directory",
        }.items():
            code, said = run(server, folder)
            assert code == 1
            assert len(said.splitlines()) == 1
            assert why in said
    assert list((tmp_path / "open").iterdir()) == []


@pytest.mark.parametrize("name", ["../svid.key", "..data", "", "a/b", "svid.pem", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    code, _said = run(server, tmp_path / "svid", f"--key={name}")
    assert code == (1 if name == "svid.pem" else 2)
    assert not (tmp_path / "svid").exists()
