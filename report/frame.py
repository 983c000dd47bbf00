"""What every HTML file of the project begins with: its policy, its style and its script.

Guarantee: the file needs nothing else: its policy forbids all but its own style and script, named by their hashes.
"""

import base64
import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

from report.markup import element, program


def head(title: str, style: str, script: str) -> ET.Element:
    """The head element; the page puts the same script at its end."""
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        # Or a server that shows the file would be asked for an icon.
        element("link", rel="icon", href="data:,"),
        program("style", style),
    )


def style() -> str:
    """The classes of pages, without those of diagrams."""
    return _file("page.css")


def script() -> str:
    """Filters the folds of a page by their text."""
    return _file("page.js")


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
