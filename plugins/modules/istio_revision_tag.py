#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: istio_revision_tag
short_description: Let a name stand for a revision of Istio
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - A namespace with the label C(istio.io/rev=prod) is injected by the revision that the tag V(prod) points to. When the
    tag moves to another revision, what starts in the namespace from then on gets the proxy of that one, without another
    label.
  - The objects are those of C(istioctl tag set), rendered by the same charts. They are compared by field, and only what
    differs is applied.
  - Pods that run are not touched. Restart them to move them.
notes:
  - The webhook of a tag has the CA bundle of its revision from the first moment on, so that no pod is refused in
    between. istiod keeps it fresh afterwards.
  - The tag V(default) is what the label C(istio-injection=enabled) means where no revision V(default) is installed. It
    brings the validation of objects that name no revision as well, and takes it over from the revision that had it.
  - Tags of an overlay (C(values.revisionTags) of M(trustmesh.spiffe.istio_install)) belong to that installation and are
    refused here. A tag that C(istioctl tag set) made is taken over.
  - The control node needs istioctl and kubectl.
options:
  name:
    description:
      - The name of the tag. It may not be that of a revision.
    type: str
    required: true
  revision:
    description:
      - The revision that it points to. It has to be installed, but in check mode, which warns. Needed with
        O(state=present).
    type: str
  namespace:
    description:
      - The namespace of the control planes.
    type: str
    default: istio-system
  state:
    description:
      - V(present) makes or moves the tag, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - With O(state=absent), also remove a tag that namespaces ask for. Pods that start there afterwards get no
        sidecar.
    type: bool
    default: false
  istioctl:
    description:
      - The istioctl program, best that of the revision. A name is looked up on PATH.
    type: path
    default: istioctl
  timeout:
    description:
      - How many seconds one call of istioctl or kubectl may take.
    type: int
    default: 60
  cache_dir:
    description:
      - A folder that keeps what istioctl rendered, as in M(trustmesh.spiffe.istio_install).
    type: path
extends_documentation_fragment:
  - trustmesh.spiffe.attributes
  - trustmesh.spiffe.attributes.actiongroup_istio
  - trustmesh.spiffe.kubectl
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - By field for objects that are updated, by name for those that are created or deleted.
  idempotent:
    support: full
seealso:
  - module: trustmesh.spiffe.istio_install
  - name: Istio's own guide to revisions
    description: How revisions and tags are meant to be used.
    link: https://istio.io/latest/docs/setup/upgrade/canary/
"""

EXAMPLES = r"""
- name: Let prod stand for the new revision
  trustmesh.spiffe.istio_revision_tag:
    name: prod
    revision: 1-31-0

- name: Remove a tag that nobody asks for any more
  trustmesh.spiffe.istio_revision_tag:
    name: canary
    state: absent
"""

RETURN = r"""
tag:
  description: The tag.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    revision:
      description: The revision that it points to now, or would in check mode. Empty with O(state=absent).
      type: str
    before:
      description: The revision that it pointed to. Empty when it was not there.
      type: str
    namespaces:
      description: The namespaces that ask for it. What starts there is injected by O(revision).
      type: list
      elements: str
  sample:
    name: prod
    revision: 1-31-0
    before: 1-30-0
    namespaces: [shop]
objects:
  description: Every object of the tag and what became of it.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the object.
      type: str
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace, empty for an object of the whole cluster.
      type: str
    action:
      description: One of V(created), V(updated), V(deleted), V(unchanged).
      type: str
actions:
  description: Only what was done, or would be done in check mode, with the fields that an update touched.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: One of V(created), V(updated), V(deleted).
      type: str
    object:
      description: Kind, namespace and name.
      type: str
    fields:
      description: Paths of the fields that were updated.
      type: list
      elements: str
  sample:
    - verb: updated
      object: MutatingWebhookConfiguration istio-revision-tag-prod
      fields: ["metadata.labels.istio.io/rev"]
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.tag.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()
