# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: it may change in any release.
"""Why a call failed, told from the words of the tools, and what to do about it. Pure.

The words are those of SPIRE 1.15, kubectl and Kubernetes 1.34, containerd and CRI-O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST_SPIRE = "1.14.6"
"""The oldest server to use: before it, two agents could join with one token. Older lines get no fixes any more."""

UNKNOWN = "Whether the request was carried out is not known"


@dataclass(frozen=True)
class Cause:
    """One way to fail. ``text`` may name ``{socket}`` and ``{binary}``."""

    pattern: str
    text: str
    undelivered: bool = False
    """The request never got to the server, and it may help to wait: sending it again is safe for every verb."""
    program: bool = False
    """It is the program that is at fault, so it helps to say which one it is."""


# First match wins. What comes from spire-server stands before what comes from kubectl and the container's runtime.
CAUSES: tuple[Cause, ...] = (
    Cause(
        r"dial unix .*connect: no such file or directory",
        "there is no socket at {socket}. Is the server running, and is this its socket_path?",
        undelivered=True,
    ),
    Cause(
        r"dial unix .*connect: connection refused",
        "nobody answers at {socket}: the server is down, or this is not its socket. Start the server, or fix "
        "socket_path.",
        undelivered=True,
    ),
    Cause(
        r"dial unix .*connect: permission denied",
        "no permission to use {socket}. Run as the server's user or group (become).",
    ),
    Cause(r"dial unix .*connect: invalid argument", "{socket} cannot be a socket's path. Fix socket_path."),
    Cause(
        r"dial unix .*connect: (not a directory|protocol wrong type for socket)",
        "{socket} is not a socket, or lies below a file. Fix socket_path.",
    ),
    Cause(
        r"code = ResourceExhausted.*larger than max",
        f"a message was too large: over gRPC's limit of 4 MiB. {UNKNOWN}. Where entries are read, they are so large "
        "that 500 of them, which is what one answer holds, are too much: ask for fewer by a filter, or make them "
        "smaller. Where they are written, send fewer at once.",
    ),
    Cause(
        r"code = ResourceExhausted",
        "the server, its disk or its database has no room or no capacity left. Look at the server's log, then run "
        "again.",
    ),
    Cause(
        r"code = DeadlineExceeded",
        f"the server or its database did not end in time. {UNKNOWN}. Look at the server's log and run again.",
    ),
    Cause(
        r"code = (PermissionDenied|Unauthenticated)",
        "the server's policy refuses this call on its local socket. Look at its authorization policy "
        "(auth_opa_policy_engine).",
    ),
    Cause(
        r"JWT functionality is disabled",
        "this server is set to issue no JWT-SVIDs (disable_jwt_svids), so that it has no JWT authority.",
    ),
    Cause(
        r"server is initializing",
        "the server is still starting and has no authority yet. Run again, or raise wait_timeout.",
        undelivered=True,
    ),
    Cause(
        r"code = Unimplemented",
        "the server does not know this call: it is older than {binary}, or something else answers at {socket}, such as "
        "an agent. SPIRE " + OLDEST_SPIRE + " or later is needed; use the program of the server's own version.",
    ),
    Cause(r"code = Canceled", f"the call was cancelled on the way. {UNKNOWN}. Run again."),
    Cause(
        r"code = Unavailable.*(error reading server preface|http2|malformed|first record does not look)",
        "what answers at {socket} is no SPIRE server, or it went away at once. Fix socket_path, or look at the "
        "server's log.",
    ),
    Cause(r"code = Unavailable", f"the server went away while it answered. {UNKNOWN}. Run again."),
    # What the program says of its arguments. The client adds which program it is.
    Cause(
        r"flag provided but not defined|^Usage: ",
        "{binary} does not know a command or an option that is needed.",
        program=True,
    ),
    # What the container's runtime says.
    Cause(
        r"exec: .*(no such file or directory|executable file not found|not found in \$PATH)",
        "{binary} was not found in the container. Set binary to its full path there, or name another container.",
    ),
    Cause(
        r"exec: .*permission denied",
        "{binary} may not be run in the container: it is a folder or not executable. Fix binary.",
    ),
    Cause(r"exec format error", "{binary} cannot be run in the container: it is for another kind of processor."),
    Cause(
        r"command terminated with exit code 137|signal: killed",
        f"the program was killed, as the kernel does when the container's memory is used up. {UNKNOWN}. Give the "
        "container more memory, then run again.",
    ),
    # What kubectl says.
    Cause(r"container \S+ is not valid for pod", "the pod has no such container. Fix container."),
    Cause(r"namespaces? \"[^\"]*\" not found", "the namespace was not found. Fix namespace, or context."),
    Cause(
        r"unable to upgrade connection: container not found|container not running|cannot exec in a stopped|"
        r"container is not (created or )?running",
        "the container does not run. Look at its log (kubectl logs --previous), or raise wait_timeout if it only "
        "starts.",
        undelivered=True,
    ),
    Cause(
        r"Error from server \(NotFound\)|pods? \"[^\"]*\" not found|not found in namespace",
        "the pod, or what is to lead to it, was not found. Fix pod, namespace or context; or is it not there yet? "
        "Then raise wait_timeout.",
        undelivered=True,
    ),
    Cause(
        r"the server doesn't have a resource type",
        "the cluster knows no such kind. Fix pod: a name, or kind/name such as statefulset/spire-server.",
    ),
    Cause(
        r"unable to parse requirement|unable to find .* that match label selector",
        "pod_selector is no label selector. Write it as app.kubernetes.io/name=spire-server.",
    ),
    Cause(
        r"Error from server \(Forbidden\).*pods/exec",
        "the user of this kubeconfig may read the pod, but not run a command in it. Grant it create on pods/exec for "
        "the server's pod.",
    ),
    Cause(
        r"Error from server \(Forbidden\)",
        "the cluster refuses it: the user of this kubeconfig may not do that. Grant it get and list on pods, and "
        "create on pods/exec, in the server's namespace.",
    ),
    Cause(
        r"You must be logged in to the server|\(Unauthorized\)",
        "the cluster does not accept the credentials of this kubeconfig; they may have expired. Renew them.",
    ),
    Cause(r"error: context .* does not exist", "the kubeconfig has no such context. Fix context."),
    Cause(r"error: stat .*no such file", "the kubeconfig was not found. Fix kubeconfig."),
    Cause(
        r"error loading config file|invalid configuration|no configuration has been provided",
        "the kubeconfig cannot be used. Fix kubeconfig, or write it anew.",
    ),
    Cause(
        r"failed to verify certificate|x509: ",
        "the cluster's API server shows a certificate that the CA in this kubeconfig did not sign, or that is not for "
        "this address. Is it the right cluster? Take its kubeconfig anew.",
    ),
    Cause(
        r"error sending request: \w+ .*dial tcp|error dialing backend",
        "the cluster answers, but the pod's node does not. Is the node up?",
        undelivered=True,
    ),
    Cause(
        r"The connection to the server .* was refused|Unable to connect to the server|"
        r"the server is currently unable to handle the request",
        "the cluster's API server cannot be reached. Is it up, and is this its kubeconfig?",
        undelivered=True,
    ),
    Cause(
        r"^(error|Error from server).*(does not have a host assigned|completed pod|is not running|is terminated)",
        "the pod is down. Look at its events (kubectl describe), or raise wait_timeout if it only starts.",
        undelivered=True,
    ),
    Cause(
        r"error: timed out waiting for|unable to find pod|no pods? found",
        "the workload has no running pod. Look at its events (kubectl describe), or raise wait_timeout if it only "
        "starts.",
        undelivered=True,
    ),
    Cause(r"unable to upgrade connection", "the pod's node did not take the command.", undelivered=True),
    Cause(
        r"websocket: close|error reading from error stream|unexpected EOF|connection reset by peer|"
        r"lost connection to pod",
        f"the connection to the pod broke. {UNKNOWN}. Run again.",
    ),
)

# Lines of kubectl that say nothing about the cause: its own log, the container it took, the exit code it passes on.
_NOISE = re.compile(r"[EWI]\d{4} \d\d:\d\d|Defaulted container |command terminated with exit code (?!137)")
_USAGE = re.compile(r"^Usage(?: of .*)?:.*\Z", re.MULTILINE | re.DOTALL)


def find_cause(words: str) -> Cause | None:
    """Return the cause that the words of a failed command tell."""
    said = essence(words)
    return next((cause for cause in CAUSES if re.search(cause.pattern, said, re.MULTILINE)), None)


def essence(words: str) -> str:
    """Return what is worth repeating of the words of a failed command; all of them when nothing else is left."""
    lines = [line for line in words.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines).strip() or words.strip()


def without_usage(words: str) -> str:
    """Return the words without the page of options that programs add to a complaint about their arguments."""
    return _USAGE.sub(lambda found: found[0].splitlines()[0], words)


def which_program(words: str, version: str) -> str:
    """Return what the refused program is, from its words and from what it answered when asked for its version."""
    usage = re.search(r"^Usage: (\S+)", words, re.MULTILINE)
    if usage and usage[1] != "spire-server":
        return f"It is {usage[1]}, not spire-server. Fix binary."
    if re.fullmatch(r"\d+\.\d+\.\S+", version):
        return f"It is spire-server {version}; SPIRE {OLDEST_SPIRE} or later is needed."
    return f"It may be another program: spire-server of SPIRE {OLDEST_SPIRE} or later is needed. Fix binary."
