"""The head of a page that is one file: its policy forbids everything but its own style and script, named by their hashes.

Guarantee: a browser that shows the file asks nobody for anything.
"""

import base64
import hashlib
import xml.etree.ElementTree as ET

from report.markup import element, program


def head(title: str, style: str, script: str) -> ET.Element:
    """A head element with the style; the script stands at the end of the body, as it is given here."""
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


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
