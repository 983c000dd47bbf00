"""One HTML page of a service, with its policy.

Guarantee: a browser runs no script on it, sends no form from it, and shows it in no frame of another page.
"""

import base64
import hashlib
from html import escape

from fastapi.responses import HTMLResponse

_STYLE = """:root{color-scheme:light dark;background:light-dark(#fff,#141414);color:light-dark(#1c1c1c,#e6e6e6)}
a{color:light-dark(#0b57d0,#8ab4f8)}
body{font:1rem/1.6 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}
code{font-size:.95em;overflow-wrap:anywhere}"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>{title}</title><style>{style}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""
# The one style sheet is allowed by what it contains, so an injected one would not be applied.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def policy(**allowed: str) -> dict[str, str]:
    """The headers of a page: nothing is loaded but what `allowed` names, such as `img_src="data:"`."""
    directives = {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        **{name.replace("_", "-"): sources for name, sources in allowed.items()},
    }
    return {
        "Content-Security-Policy": "; ".join(
            f"{name} {sources}" for name, sources in directives.items()
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


_HEADERS = policy(img_src="data:", style_src=f"'sha256-{_STYLE_HASH}'")


def html(title: str, body: str) -> HTMLResponse:
    """A page with this title and heading. `body` is HTML: the caller has escaped what it put into it."""
    text = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    return HTMLResponse(text, headers=_HEADERS)
