"""A request as a curl command.

Guarantee: pasted into a shell, it sends the same method, path, headers and body; what identifies a caller is a variable of
the shell, so that no secret gets into a report.
"""

import re
import shlex

from judge.requests import Rendered

_SECRET = re.compile(
    r"authorization|cookie|token|secret|password|api-?key|session|signature", re.IGNORECASE
)


def curl(request: Rendered, url: str, *, other_caller: bool = False) -> str:
    """The command, in one line."""
    parts = ["curl", "-i"]
    if request.method != "GET":
        parts += ["-X", request.method]
    for name, value in request.headers:
        if is_secret(name):
            parts += ["-H", f'"{name}: ${variable(name, other_caller=other_caller)}"']
        else:
            # curl drops a header without a value, unless it ends in a semicolon.
            parts += ["-H", shlex.quote(f"{name}: {value}" if value else f"{name};")]
    if request.content:
        parts += ["--data-raw", shlex.quote(request.content.decode("utf-8", "replace"))]
    return " ".join([*parts, shlex.quote(url + request.path)])


def is_secret(name: str) -> bool:
    """Whether a header's value identifies the caller."""
    return _SECRET.search(name) is not None


def variable(name: str, *, other_caller: bool) -> str:
    """The variable that stands for a secret."""
    plain = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    return f"OTHER_{plain}" if other_caller else plain
