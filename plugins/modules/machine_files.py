#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: machine_files
short_description: Bring folders, files and links of a machine to what they are to be, in one connection
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - A task of M(ansible.builtin.copy) takes five or six connections for a file. This one takes one for all of its items,
    and needs no Python on the machine, but C(sh) and the coreutils.
  - Items are taken in their order. Files are written beside their places and checked, and moved there when all of them
    are accepted, so that a run that is cut off or refused has replaced none.
  - A file that is a link is replaced by a file. A folder that is a link is refused.
  - It is made for the roles of this collection. It is no public interface, and may change in any release.
options:
  files:
    description: What there is to be.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Its absolute path, of letters, digits and C(._@+:-).
        type: str
        required: true
      owner:
        description: Its user.
        type: str
        default: root
      group:
        description: Its group.
        type: str
        default: root
      mode:
        description: Three octal digits, with or without a zero before them. Needed but for a link.
        type: str
      content:
        description: What a file holds. A diff shows it, so what is secret is given as O(files[].src).
        type: raw
      src:
        description:
          - A file on the control node, such as a key or a program, which the file is to hold.
          - A diff shows nothing of one with more than 64 KiB but its size.
          - In check mode it may still be missing, and the file is one that would change.
        type: path
      link:
        description: The absolute path to which a link leads.
        type: str
      validate:
        description:
          - A command of the machine's shell that ends well when a file is right, with C(%s) in the place of its path.
            In check mode it is not asked.
        type: str
      secret:
        description: Whether what a file holds is shown in no diff.
        type: bool
        default: false
extends_documentation_fragment: trustmesh.spiffe.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - The connection takes an input, as with pipelining. A C(sudo) that asks for a terminal does not.
seealso:
  - module: ansible.builtin.copy
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: The folder and the configuration of an agent
  trustmesh.spiffe.machine_files:
    files:
      - path: /opt/spire-agent/conf
        mode: "0700"
      - path: /opt/spire-agent/conf/agent.conf
        mode: "0600"
        content: "{{ configuration }}"
        validate: /opt/spire-agent/spire-agent validate -config %s
      - path: /opt/spire-agent/conf/tls.key
        mode: "0600"
        src: build/nodes/rack/tls.key
        secret: true
"""

RETURN = r"""
paths:
  description: What was changed, or would be in check mode, in order.
  type: list
  elements: str
  returned: success
  sample: [/opt/spire-agent/conf/agent.conf]
"""
