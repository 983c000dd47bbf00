"""Requests as they are sent: made from the templates of judge.toml.

Guarantee: all attempts of one logical request have the same bytes; two logical requests never have the same key, in this
run or in an earlier one.
"""

import itertools
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from judge.config.model import Request


@dataclass(frozen=True)
class Values:
    """What the templates of one logical request stand for."""

    key: str
    unique: str
    uuid: str
    integer: str

    def fill(self, text: str) -> str:
        """The text with its templates replaced. Any other braces stay as they are."""
        for name in ("key", "unique", "uuid", "integer"):
            text = text.replace("{" + name + "}", getattr(self, name))
        return text


@dataclass(frozen=True)
class Rendered:
    """One request, ready to be sent. `path` begins with / and is encoded."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    content: bytes
    key: str

    @property
    def text(self) -> str:
        """All that the caller itself says, to tell it from what the service adds."""
        headers = " ".join(value for _, value in self.headers)
        return f"{self.path} {headers} {self.content.decode('utf-8', 'replace')} {self.key}"


@dataclass(frozen=True)
class Change:
    """In what a request differs from the usual one of its values."""

    other_payload: bool = False
    other_caller: bool = False
    other_path: bool = False
    without_key: bool = False
    # The whole value of what carries the key, in place of its template.
    raw_key: str | None = None


USUAL = Change()


class Requests:
    """Makes logical requests and renders them."""

    def __init__(self, config: Request) -> None:
        self.config = config
        # Milliseconds of the wall clock: a later run begins above every key of an earlier one, because each request
        # takes longer than a millisecond; and it stays below 2**53, which JavaScript and JSON can hold.
        self._integers = itertools.count(time.time_ns() // 1_000_000)

    def new(self) -> Values:
        """The values of a new logical request."""
        values = Values("", str(uuid.uuid4()), str(uuid.uuid4()), str(next(self._integers)))
        # A key that stands for itself alone: the payload's {uuid} is another one.
        key = replace(values, uuid=str(uuid.uuid4()), unique=str(uuid.uuid4())).fill(
            self.config.key
        )
        return replace(values, key=key)

    @property
    def carrier(self) -> str:
        """Where the key is: a header's name, "json", "form", or "" when it cannot be left out (path, body)."""
        for name, value in self.config.headers.items():
            if "{key}" in value:
                return name
        if isinstance(self.config.json, dict) and _holders(self.config.json):
            return "json"
        if self.config.form is not None and _holders(self.config.form):
            return "form"
        return ""

    @property
    def carrier_template(self) -> str:
        """The template of the header that carries the key; "{key}" elsewhere. The key's own template is filled in."""
        template = self.config.headers.get(self.carrier, "{key}")
        return template.replace("{key}", self.config.key)

    def render(self, values: Values, change: Change = USUAL) -> Rendered:
        """One request of these values."""
        config = self.config
        headers = {name: values.fill(value) for name, value in config.headers.items()}
        if change.other_caller and config.other_caller is not None:
            lowered = {name.lower(): name for name in headers}
            for name, value in config.other_caller.items():
                headers.pop(lowered.get(name.lower(), ""), None)
                headers[name] = values.fill(value)
        carrier = self.carrier
        if carrier in headers:
            if change.without_key:
                del headers[carrier]
            elif change.raw_key is not None:
                headers[carrier] = change.raw_key
        content, kind = self._content(values, change)
        if kind and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = kind
        path = config.other_path if change.other_path else config.path
        encoded = (
            path.replace("{key}", quote(values.key, safe="")) if not change.other_path else path
        )
        return Rendered(
            config.method, values.fill(encoded), tuple(headers.items()), content, values.key
        )

    def _content(self, values: Values, change: Change) -> tuple[bytes, str]:
        config = self.config
        if config.body is not None:
            body = (
                config.other if change.other_payload and config.other is not None else config.body
            )
            kind = "application/json" if _is_json(body) else "text/plain; charset=utf-8"
            return values.fill(body).encode(), kind
        if config.form is not None:
            form = dict(config.form)
            if change.other_payload and config.other is not None:
                form |= config.other
            form = self._rekeyed(form, change)
            pairs = [(name, values.fill(_form_text(value))) for name, value in form.items()]
            return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
        if config.json is None:
            return b"", ""
        document = config.json
        if change.other_payload and config.other is not None:
            document = _merged(document, config.other)
        if isinstance(document, dict):
            document = self._rekeyed(document, change)
        return json.dumps(
            _filled(document, values), ensure_ascii=False
        ).encode(), "application/json"

    def _rekeyed(self, document: Mapping[str, Any], change: Change) -> dict[str, Any]:
        if self.carrier not in ("json", "form"):
            return dict(document)
        names = _holders(document)
        if change.without_key:
            return {name: value for name, value in document.items() if name not in names}
        if change.raw_key is not None:
            return {**document, **dict.fromkeys(names, change.raw_key)}
        return dict(document)


def _holders(document: Mapping[str, Any]) -> list[str]:
    return [name for name, value in document.items() if isinstance(value, str) and "{key}" in value]


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, str):
        return values.fill(value)
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    return [_filled(item, values) for item in value] if isinstance(value, list) else value


def _merged(document: Any, other: Any) -> Any:
    if isinstance(document, dict) and isinstance(other, dict):
        return {
            **document,
            **{
                name: _merged(document[name], value) if name in document else value
                for name, value in other.items()
            },
        }
    return other


def _form_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
