"""The pages that a service shows to a browser: what it is (`/`), and its operations to try out (`/docs`).

Guarantee: a page loads nothing from another origin, and its Content-Security-Policy forbids all that it does not need. A page
is no operation: the OpenAPI document is the same with it as without it.
"""

from service_kit.pages.document import html
from service_kit.pages.install import install

__all__ = ["html", "install"]
