#!/usr/bin/python
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: istio_install
short_description: Install Istio from one IstioOperator overlay
version_added: "0.1.0"
author: The trustmesh.spiffe authors (@trustmesh)
description:
  - Renders an IstioOperator overlay with C(istioctl manifest generate), compares every field of every object with what
    is in the cluster, applies only what differs, removes what is rendered no more, and waits until Istio can be used.
  - A second run with the same overlay changes nothing and reports so.
  - The fields that istiod writes itself, C(caBundle) of its webhooks and C(failurePolicy) of the validating ones, are
    left to it.
notes:
  - "C(istioctl install) does two things more than C(istioctl manifest generate): it creates the namespace, which this
    module does too, and it moves the default injection and validation webhooks into objects of their own, for later
    switching between revisions. This module leaves the injection webhooks where they are rendered: they serve the
    label C(istio-injection=enabled) themselves. Validation of objects that name no revision needs
    C(values.defaultRevision=default) in the overlay; the role P(trustmesh.spiffe.istio#role) sets it."
  - Objects are marked with Istio's own labels, C(install.operator.istio.io/owning-resource) and its companions. They
    tell apart several installations in one cluster. An Istio that was installed by another tool is never taken over,
    only CustomResourceDefinitions that it left behind are.
  - The control node needs istioctl and kubectl. Nothing is installed in the cluster beside Istio itself.
options:
  overlay:
    description:
      - An IstioOperator resource. C(apiVersion), C(kind) and C(metadata) may be left out.
      - C(metadata.name), C(metadata.namespace) and C(spec.revision) say which installation is meant; they default to
        V(istio), V(istio-system) and V(default). With O(state=absent) nothing else of it is read.
    type: dict
    default: {}
  istioctl:
    description:
      - The istioctl program. A name is looked up on PATH. Its version is the version of Istio that is installed.
    type: path
    default: istioctl
  state:
    description:
      - V(present) installs or updates, V(absent) removes.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description:
      - With O(state=absent), also remove the CustomResourceDefinitions, B(and with them every Istio object in the
        cluster), the namespace if this module created it, and the root certificates and revocation
        lists that istiod left in all namespaces.
    type: bool
    default: false
  wait:
    description:
      - Wait until all Deployments and DaemonSets are available, the definitions are served, and istiod has announced
        itself in its injection webhook. A run that changes nothing checks the same without a further call.
      - With O(state=absent), wait until everything is gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait at most.
    type: int
    default: 300
  timeout:
    description:
      - How many seconds one call of istioctl or kubectl may take.
    type: int
    default: 60
  cache_dir:
    description:
      - A folder that keeps what istioctl rendered, under a hash of the overlay and of the program. It saves about half
        a second per run.
      - What differs from what was written is rendered again, with a warning. A folder that others than root and who
        runs this can write to is refused.
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
  - module: trustmesh.spiffe.kubernetes_workload_wait
  - name: Istio's own guide to SPIRE
    description: What SPIRE and Istio need of each other.
    link: https://istio.io/latest/docs/ops/integrations/spire/
"""

EXAMPLES = r"""
- name: Install a control plane whose trust domain is that of SPIRE
  trustmesh.spiffe.istio_install:
    kubeconfig: ~/.kube/blue
    overlay:
      spec:
        profile: minimal
        meshConfig:
          trustDomain: example.org
        values:
          defaultRevision: default

- name: Show what a new proxy image would change
  trustmesh.spiffe.istio_install:
    overlay: "{{ lookup('file', 'istio.yml') | from_yaml }}"
  check_mode: true
  diff: true

- name: Remove Istio and everything that belongs to it
  trustmesh.spiffe.istio_install:
    state: absent
    purge: true
"""

RETURN = r"""
ready:
  description:
    - Whether all of it was seen to be usable. After a change that was not waited for it is V(false), because nobody
      looked.
  returned: when O(state=present)
  type: bool
objects:
  description: Every object of the installation and what became of it, in the order in which it was done.
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
      description:
        - What was done, or would be done in check mode.
        - One of V(created), V(updated), V(deleted), V(unchanged).
      type: str
  sample:
    - {kind: Deployment, name: istiod, namespace: istio-system, action: updated}
actions:
  description: Only what was done, with the fields that an update touched.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: One of C(created), C(updated), C(deleted).
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
      object: Deployment istio-system/istiod
      fields: ["spec.template.spec.containers[discovery].image"]
version:
  description: The version of Istio that istioctl renders. Empty when Istio is removed.
  returned: success
  type: str
  sample: 1.31.0
"""

from ansible_collections.trustmesh.spiffe.plugins.module_utils._istio.run import run, spec
from ansible_collections.trustmesh.spiffe.plugins.module_utils._runner import run_module


def main() -> None:
    run_module(spec(), run)


if __name__ == "__main__":
    main()
