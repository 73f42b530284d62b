# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx. ``make docs`` runs it over what docs/docsite/build.py has gathered."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes

sys.path.insert(0, str(Path(__file__).parents[1]))
import pages

ANSIBLE = "https://docs.ansible.com/ansible/latest"
ROOT = Path(__file__).resolve().parents[3]

project = "trustmesh.spiffe"
project_copyright = "the trustmesh.spiffe authors"
version = release = re.findall(r"(?m)^version: (\S+)$", (ROOT / "galaxy.yml").read_text())[0]

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
# Links between pages name headings as code hosts do.
myst_heading_anchors = 6
default_role = "any"
highlight_language = "yaml+jinja"

html_theme = "furo"
html_title = f"trustmesh.spiffe {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False


def follow_links(app: Any, name: str, source: list[str]) -> None:
    """Let links of a Markdown page lead to pages of the site where there are such, and to the repository elsewhere."""
    path = Path(app.env.doc2path(name)).relative_to(app.srcdir)
    if path.suffix == ".md":
        known = {Path(app.env.doc2path(each)).relative_to(app.srcdir).as_posix() for each in app.env.found_docs}
        source[0] = pages.linked(source[0], path.as_posix(), known, ROOT)


ELSEWHERE = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
"""Pages of Ansible's own documentation, by the labels that antsibull-docs gives them."""


def other_pages(_app: Any, _env: Any, node: Any, text: Any) -> Any:
    """Find what has its page elsewhere: Ansible's own documentation, and modules of other collections."""
    words = node["reftarget"].split(".")
    page = ELSEWHERE.get(node["reftarget"])
    if words[0] == "ansible_collections" and len(words) == 4 and words[1:3] != ["trustmesh", "spiffe"]:
        page = f"collections/{words[1]}/{words[2]}/{words[3].split('__')[0]}.html"
    if node["reftype"] == "envvar" and node["reftarget"].startswith("ANSIBLE_"):
        page = f"reference_appendices/config.html#envvar-{node['reftarget']}"
    if page is None:
        return None
    return nodes.reference("", "", *text.children, internal=False, refuri=f"{ANSIBLE}/{page}")


def setup(app: Any) -> None:
    app.connect("source-read", follow_links)
    app.connect("missing-reference", other_pages)
