"""The page: one HTML file with its styles, its program and its images inside, and no address outside of it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bacon.reporting.page.views import Leaderboard, Page

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(page: Page | Leaderboard) -> str:
    """The HTML of a page in ASCII; every text of it is escaped, and a letter beyond ASCII is written by its number.

    Browsers read a text of single bytes in half the time, and most of a large page is text that waits to be opened.
    """
    name = "report.html.j2" if isinstance(page, Page) else "leaderboard.html.j2"
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(name)
    text = template.render(page=page, policy=policy(style, script), style=Markup(style), script=Markup(script))
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def policy(style: str, script: str) -> str:
    """The content security policy: this style, this program and images inside the page; a browser refuses everything else.

    Should a text ever reach the page unescaped, a script in it would not run and nothing could be fetched.
    """
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'"
    )


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
