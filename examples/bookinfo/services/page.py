"""What a reader sees: the answers of the services as HTML. Pure functions; all that comes from elsewhere is escaped.

Each part names the instance and the version that served it, so that a canary can be watched by reloading.
"""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from .calling import Answer

_STYLE = """
:root { --ink: #1f2933; --soft: #5f6c7b; --line: #d9dee5; --sea: #0b5563; --paper: #f6f4ef; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
header { background: var(--sea); color: #fff; }
header div, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.5rem; }
header div { display: flex; align-items: center; justify-content: space-between; gap: 1rem; min-height: 3.75rem; }
header a { color: #fff; text-decoration: none; }
header .home { font: 600 1.2rem Georgia, serif; letter-spacing: .02em; }
header form { display: flex; gap: .5rem; margin: 0; }
header .out { margin-left: .75rem; padding-left: .75rem; border-left: 1px solid #ffffff66; color: #d5eef2; }
input, button { font: inherit; font-size: .9rem; border-radius: .35rem; padding: .3rem .7rem; border: 1px solid #fff; }
input { width: 10rem; border-color: transparent; }
button { background: transparent; color: #fff; cursor: pointer; }
h1 { font: 600 2.4rem/1.15 Georgia, serif; margin: 2.25rem 0 .75rem; }
h2 { font: 600 1.25rem Georgia, serif; margin: 0; }
main a { color: var(--sea); }
.lead { font-size: 1.1rem; max-width: 44rem; margin: 0 0 1.75rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 1.25rem; }
section > div { padding: 1.1rem 1.35rem; }
section .head { display: flex; flex-wrap: wrap; gap: .4rem 1rem; justify-content: space-between; align-items: center;
  border-bottom: 1px solid var(--line); padding-top: .8rem; padding-bottom: .8rem; }
.by { font: .8rem/1.4 ui-monospace, monospace; color: var(--soft); }
.by b { background: #e3f0f2; color: var(--sea); border-radius: 1rem; padding: .1rem .55rem; margin-left: .3rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem 1.5rem; margin: 0; }
dt { font-size: .8rem; color: var(--soft); }
dd { margin: 0; }
.reviews { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1.25rem 2.5rem; }
blockquote { margin: 0; display: flex; flex-direction: column; }
blockquote p { margin: 0 0 .5rem; font: 1.08rem/1.5 Georgia, serif; }
cite { font-style: normal; font-size: .9rem; color: var(--soft); }
.stars { font-size: 1.5rem; line-height: 1.2; letter-spacing: .1em; margin-bottom: .4rem; }
.stars i { font-style: normal; color: #cfd5dc; }
.error { color: #9b1c1c; font-weight: 600; margin: 0; }
.error + p { margin: .25rem 0 0; }
.small { font-size: .9rem; color: var(--soft); margin-bottom: .4rem; }
code { font: .9em ui-monospace, monospace; background: #eceff3; border-radius: .25rem; padding: .1rem .35rem; }
ul { margin: 0; padding-left: 1.2rem; }
li { margin: .3rem 0; }
footer { padding-top: .5rem; padding-bottom: 2.5rem; }
"""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%230b5563' d='M2 2h5l1 1 1-1h5v11H9l-1 1-1-1H2z'/%3E%3C/svg%3E"
)
_DETAILS = (
    ("Author", "author"),
    ("Year", "year"),
    ("Type", "type"),
    ("Pages", "pages"),
    ("Publisher", "publisher"),
    ("Language", "language"),
    ("ISBN-10", "ISBN-10"),
    ("ISBN-13", "ISBN-13"),
)


class Book(NamedTuple):
    number: int
    title: str
    link: str
    about: str


def description(book: Book) -> str:
    """What the book is about, and where more is written of it, as HTML."""
    return f'{escape(book.about)} <a href="{escape(book.link)}">More at Wikipedia</a>'


def served_by(service: str, pod: str, version: str) -> str:
    """Which instance gave a part of the page, as HTML."""
    if not pod:
        return f'<span class="by">{escape(service)}</span>'
    return f'<span class="by">served by {escape(pod)} <b>{escape(service)} {escape(version)}</b></span>'


def product(book: Book, details: Answer, reviews: Answer, user: str, footer: str) -> str:
    """The page of one book. An answer whose status is not 200 shows its error, and the other part as it is."""
    parts = (
        f'<h1>{escape(book.title)}</h1><p class="lead">{description(book)}</p>',
        _section("Book Details", "details", details, _details),
        _section("Book Reviews", "reviews", reviews, _reviews),
    )
    return _document(book.title, user, "".join(parts), footer)


def index(user: str, footer: str) -> str:
    """The first page: what this is, and where to go."""
    body = """<h1>Bookinfo</h1>
<p class="lead">A bookshop with a single book, made of four services. The page asks <code>details</code> and
<code>reviews</code>; <code>reviews</code> runs in three versions, of which v2 and v3 ask <code>ratings</code>.</p>
<section><div class="head"><h2>Have a look</h2></div><div><ul>
<li><a href="productpage">The book's page</a>, as anybody sees it</li>
<li><a href="productpage?u=jason">The same page, as jason</a>, whom some of the routing rules know</li>
<li><a href="api/v1/products">The API</a>: <a href="api/v1/products/0">details</a>,
<a href="api/v1/products/0/reviews">reviews</a>, <a href="api/v1/products/0/ratings">ratings</a></li>
</ul></div></section>"""
    return _document("Bookinfo", user, body, footer)


def _document(title: str, user: str, body: str, footer: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="{_ICON}">
<style>{_STYLE}</style>
</head>
<body>
<header><div><a class="home" href=".">Bookinfo</a>{_visitor(user)}</div></header>
<main>{body}</main>
<footer>{footer}</footer>
</body>
</html>
"""


def _visitor(user: str) -> str:
    if user:
        return f'<span>{escape(user)}<a class="out" href="logout">Sign out</a></span>'
    return (
        '<form method="post" action="login"><input name="username" aria-label="Name" placeholder="Name, e.g. jason"'
        ' maxlength="64" required autocomplete="off"><button>Sign in</button></form>'
    )


def _section(title: str, service: str, answer: Answer, content: Any) -> str:
    if answer.status == 200:
        inside = content(answer.value)
    else:
        error = escape(str(answer.value.get("error", "")))
        inside = f'<p class="error">Error fetching product {escape(service)}</p><p>{error}</p>'
    head = f'<div class="head"><h2>{escape(title)}</h2>{served_by(service, answer.pod, answer.version)}</div>'
    return f"<section>{head}<div>{inside}</div></section>"


def _details(value: dict[str, Any]) -> str:
    terms = (f"<div><dt>{label}</dt><dd>{escape(str(value.get(key, '')))}</dd></div>" for label, key in _DETAILS)
    return f"<dl>{''.join(terms)}</dl>"


def _reviews(value: dict[str, Any]) -> str:
    reviews = value.get("reviews")
    found = [review for review in reviews if isinstance(review, dict)] if isinstance(reviews, list) else []
    return f'<div class="reviews">{"".join(_review(review) for review in found)}</div>'


def _review(review: dict[str, Any]) -> str:
    text, reviewer = escape(str(review.get("text", ""))), escape(str(review.get("reviewer", "")))
    return f"<blockquote>{_rating(review.get('rating'))}<p>{text}</p><cite>{reviewer}</cite></blockquote>"


def _rating(rating: Any) -> str:
    if not isinstance(rating, dict):
        return ""
    stars = rating.get("stars")
    if type(stars) is not int:
        return f'<span class="error small">{escape(str(rating.get("error", "")))}</span>'
    stars = min(max(stars, 0), 5)
    color = str(rating.get("color", ""))
    color = color if color.isascii() and color.isalpha() else "black"  # it stands in a style, where escaping is no help
    return (
        f'<span class="stars" role="img" aria-label="{stars} of 5 stars, {color}" style="color: {color}">'
        f"{'★' * stars}<i>{'★' * (5 - stars)}</i></span>"
    )
