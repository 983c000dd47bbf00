"""A problem and its type, as RFC 9457 names them.

Guarantee: a problem's JSON is pure ASCII, so no text from a caller (such as a lone surrogate) can break the answer.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemType:
    """One kind of problem (RFC 9457, section 3.1.1). `explanation` fills the page behind its `type` URL."""

    slug: str
    status: int
    title: str
    explanation: str


class ServerRefusal(Protocol):
    """A problem with which the server answers before the request reaches the application."""

    @property
    def slug(self) -> str: ...

    @property
    def status(self) -> int: ...

    @property
    def title(self) -> str: ...

    @property
    def explanation(self) -> str: ...


class Problem(Exception):
    """An error answer. Raised by an endpoint, rendered by the handlers of `install`.

    `extensions` become further members of the JSON object (RFC 9457, section 3.2).
    """

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(f"{kind.slug}: {detail}")
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions


@dataclass(frozen=True)
class ProblemCatalogue:
    """All problem types of one service, and the URL prefix under which their pages open.

    `public_url` is the scheme and authority under which callers reach the service, without a trailing slash; when it
    is empty the `type` is an absolute path, which RFC 9457 resolves against the URL of the request.
    """

    types: Mapping[str, ProblemType]
    public_url: str = ""
    retention: str = ""

    @classmethod
    def of(
        cls, types: Iterable[ProblemType], *, public_url: str = "", retention: str = ""
    ) -> "ProblemCatalogue":
        return cls({kind.slug: kind for kind in types}, public_url.rstrip("/"), retention)

    def url(self, kind: ProblemType) -> str:
        return f"{self.public_url}/problems/{kind.slug}"

    def render(self, problem: Problem) -> str:
        """The JSON text of a problem; ASCII only."""
        return json.dumps(
            {
                "type": self.url(problem.kind),
                "title": problem.kind.title,
                "status": problem.kind.status,
                "detail": problem.detail,
                **problem.extensions,
            }
        )
