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
  - What would break a mesh is refused before anything is touched, in check mode too. That is another trust domain while
    proxies live in the present one, an istioctl that is older than the control plane, an unknown profile or key, and a
    part of the overlay that istioctl would drop without a word.
  - The fields that istiod writes itself, C(caBundle) of its webhooks and C(failurePolicy) of the validating ones, are
    left to it.
notes:
  - "C(istioctl install) does two things more than C(istioctl manifest generate): it creates the namespace, which this
    module does too, and it moves the default injection and validation webhooks into objects of their own, for later
    switching between revisions. This module leaves the injection webhooks where they are rendered: they serve the
    label C(istio-injection=enabled) themselves. Validation of objects that name no revision needs
    C(values.defaultRevision=default) in the overlay; the role P(trustmesh.spiffe.istio#role) sets it."
  - "istioctl refuses most unknown keys, and this module says where they stand. What it drops without a word, and what
    is refused here, is: a key below C(meshConfig) that istiod does not know, which the program itself tells for its own
    version; a patch of C(k8s.overlays) whose object or list member is not rendered; settings of a component, gateway,
    autoscaler or disruption budget that is not rendered. Free by nature, and not judged, are names of environment
    variables, annotations, C(values.ztunnel) of an installed ztunnel, and what a component has that is switched off by
    C(enabled=false)."
  - Revisions of several versions share the CustomResourceDefinitions. Those of the newest stay, whichever is installed
    last. The reader's ServiceAccount goes with the last revision.
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
  force:
    description:
      - With O(state=absent), also remove a revision that namespaces ask for by their labels, that revision tags of
        M(trustmesh.spiffe.istio_revision_tag) point to, or whose proxies run in pods. These have no control plane
        afterwards, and pods that start there get no sidecar or are refused.
    type: bool
    default: false
  any_owner:
    description:
      - With O(state=absent), remove the revision also where C(istioctl install) of somebody else has made it, and not
        this module. What Helm has installed is left to Helm.
    type: bool
    default: false
  allow_trust_domain_change:
    description:
      - Take another trust domain than that of the mesh that is there, in this revision or in another one of the
        namespace, although proxies live in it.
      - "B(It breaks the mesh until all is restarted): an identity is of the trust domain that issued it, so proxies of
        the old and the new one refuse each other, and policies name principals that are there no more."
      - It is not needed while there is neither a pod with a proxy nor a WorkloadEntry.
    type: bool
    default: false
  allow_downgrade:
    description:
      - Take an istioctl that is older than the control plane of the same revision. The older istiod may not read what
        the newer one was given. The CustomResourceDefinitions are never set back.
    type: bool
    default: false
  precheck:
    description:
      - Before a change, have C(istioctl x precheck) look at the cluster, and fail when it reports an error. A run that
        changes nothing does not look.
    type: bool
    default: true
  analyze:
    description:
      - After a change, have C(istioctl analyze) look at the configuration of the mesh in all namespaces. What it finds
        is returned and fails nothing; where it cannot look, a warning says so.
      - In a mesh of several clusters it asks all whose Secrets the control plane has, and takes as long as O(timeout)
        when one of them does not answer.
    type: bool
    default: true
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

- name: Install another revision beside it, to which namespaces can be moved one by one
  trustmesh.spiffe.istio_install:
    istioctl: /opt/istio-1.31.0/bin/istioctl
    overlay:
      spec:
        profile: minimal
        revision: 1-31-0
        meshConfig:
          trustDomain: example.org
  register: result

- name: Show what is wrong in the mesh
  ansible.builtin.debug:
    var: result.analysis

- name: Remove the old revision, unless somebody still needs it
  trustmesh.spiffe.istio_install:
    overlay:
      spec:
        revision: 1-30-0
    state: absent

- name: Remove Istio and everything that belongs to it
  trustmesh.spiffe.istio_install:
    state: absent
    purge: true
    force: true
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
precheck:
  description: What C(istioctl x precheck) found before a change. Empty when nothing was to be changed.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    code:
      description: The code of the message, which Istio's documentation explains.
      type: str
    level:
      description: One of V(Info), V(Warning), V(Error).
      type: str
    object:
      description: Kind, name and namespace. Empty when it is about the cluster.
      type: str
    message:
      description: What was found.
      type: str
  sample: []
analysis:
  description: What C(istioctl analyze) found after a change. Empty in check mode and when nothing was changed.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    code:
      description: The code of the message, which Istio's documentation explains.
      type: str
    level:
      description: One of V(Info), V(Warning), V(Error).
      type: str
    object:
      description: Kind, name and namespace. Empty when it is about the cluster.
      type: str
    message:
      description: What was found.
      type: str
  sample:
    - code: IST0103
      level: Warning
      object: Pod default/cart
      message: The pod is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.
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
