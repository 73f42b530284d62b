# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages as HTML. Whatever comes from elsewhere is escaped, or is a word of ours that was chosen by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from web import Answer

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="/static/book.svg">
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<p class="site"><a href="/productpage">Bookinfo</a></p>
{session}
</header>
<main id="main">
{main}
</main>
</body>
</html>
"""
_SIGN_IN = """<form method="post" action="/login">
<label for="username">Name</label>
<input id="username" name="username" required maxlength="64" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" autocomplete="off">
<button type="submit">Sign in</button>
</form>"""
_SIGNED_IN = '<p class="user"><span>Signed in as <strong>{}</strong></span> <a href="/logout">Sign out</a></p>'

FIELDS = {
    "author": "Author",
    "type": "Type",
    "pages": "Pages",
    "publisher": "Publisher",
    "language": "Language",
    "year": "Year",
    "ISBN-10": "ISBN-10",
    "ISBN-13": "ISBN-13",
}


def answer(text: str, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    # JSON may hold half of a pair of surrogates, which is no letter.
    return Answer(text.encode("utf-8", "replace"), "text/html; charset=utf-8", status, headers, POLICY)


def _frame(title: str, main: str, session: str = "") -> str:
    return _FRAME.format(title=escape(title), main=main, session=session)


def index(products: Sequence[Mapping[str, Any]]) -> str:
    books = "\n".join(f'<li><a href="/productpage">{escape(item["title"])}</a></li>' for item in products)
    return _frame("Bookinfo", f"<h1>Books</h1>\n<ul>\n{books}\n</ul>")


def refusal(status: int, text: str) -> str:
    return _frame(f"Bookinfo: {status}", f"<h1>That did not work</h1>\n<p>{escape(text)}</p>")


def product(
    book: Mapping[str, Any], details: Mapping[str, Any] | None, reviews: Mapping[str, Any] | None, user: str | None
) -> str:
    """The page of a book. What is None could not be had. The description is ours, and HTML."""
    parts = [
        f"<h1>{escape(book['title'])}</h1>",
        f'<p class="description">{book["descriptionHtml"]}</p>',
        '<div class="parts">',
        _details(details),
        _reviews(reviews),
        "</div>",
    ]
    session = _SIGN_IN if user is None else _SIGNED_IN.format(escape(user))
    return _frame(f"Bookinfo: {book['title']}", "\n".join(parts), session)


def _section(name: str, title: str, content: str) -> str:
    head = f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>'
    return f"{head}\n{content}\n</section>"


def _error(name: str) -> str:
    return _section(
        f"{name}-error",
        f"Error fetching product {name}!",
        f'<p class="error" role="alert">The {name} of this book cannot be had now.</p>',
    )


def _text(value: Any) -> str:
    """A value of a back end: some words or a number, and not too many of them."""
    return escape(str(value)[:500]) if isinstance(value, (str, int)) else "?"


def _details(details: Mapping[str, Any] | None) -> str:
    if details is None:
        return _error("details")
    rows = "\n".join(
        f"<div><dt>{label}</dt><dd>{_text(details[key])}</dd></div>" for key, label in FIELDS.items() if key in details
    )
    return _section("details", "Book Details", f"<dl>\n{rows}\n</dl>")


def _reviews(reviews: Mapping[str, Any] | None) -> str:
    found = reviews.get("reviews") if reviews is not None else None
    if reviews is None or not isinstance(found, list):
        return _error("reviews")
    content = "\n".join(_review(item) for item in found[:50] if isinstance(item, dict))
    pod = reviews.get("podname")
    by = f'\n<p class="by">Answered by {_text(pod)}</p>' if pod else ""
    return _section("reviews", "Book Reviews", content + by)


def _review(review: Mapping[str, Any]) -> str:
    said = f"<blockquote><p>{_text(review.get('text'))}</p></blockquote>"
    who = f"<figcaption>{_text(review.get('reviewer'))}{_rating(review.get('rating'))}</figcaption>"
    return f"<figure>\n{said}\n{who}\n</figure>"


def _rating(rating: Any) -> str:
    if not isinstance(rating, dict):
        return ""
    stars = rating.get("stars")
    if isinstance(stars, bool) or not isinstance(stars, int) or not 0 <= stars <= 5:
        return f' <span class="error">{_text(rating.get("error"))}</span>'
    color = "red" if rating.get("color") == "red" else "black"
    shown = "★" * stars + "☆" * (5 - stars)
    return f' <span class="stars {color}" role="img" aria-label="{stars} of 5 stars">{shown}</span>'
