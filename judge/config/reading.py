"""Reads judge.toml.

Guarantee: a wrong name, type or value is refused with the line and what is allowed; nothing is ignored silently.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from jsonpath import JSONPathError
from jsonpath import compile as compile_path

from judge.config.model import Config, Effect, EffectKind, Expect, Request, Service
from judge.config.positions import line_of
from judge.config.profiles import DEFAULT, PROFILES
from judge.errors import ConfigError

_TEXT = "a text"
_TABLE_OF_TEXTS = "a table of texts"
_NAMES = {
    "service": {"url": _TEXT, "start": _TEXT, "ready": _TEXT, "env": _TABLE_OF_TEXTS},
    "request": {
        "method": _TEXT,
        "path": _TEXT,
        "headers": _TABLE_OF_TEXTS,
        "json": "any value",
        "body": _TEXT,
        "form": "a table",
        "other": "a table, or a text with body",
        "other_caller": _TABLE_OF_TEXTS,
        "other_path": _TEXT,
        "key": _TEXT,
    },
    "effect": {
        "http": _TEXT,
        "headers": _TABLE_OF_TEXTS,
        "value": _TEXT,
        "step": "a number",
        "sql": _TEXT,
        "dsn": _TEXT,
        "command": _TEXT,
    },
    "expect": {
        "profile": _TEXT,
        "missing_key": "a status",
        "other_payload": "a status",
        "in_flight": "a list of statuses",
        "retention_s": "a number of seconds",
        "slow_s": "a number of seconds",
        "in_flight_ends_s": "a number of seconds",
    },
}
_METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")
# How long a key may be reported as in flight, or its retry be kept waiting, after its process has died.
IN_FLIGHT_ENDS_S = 15.0
# A handler or a life of keys that is longer cannot be played in a run of a few minutes.
_SECONDS_MAX = 10_000_000


def read(path: Path) -> Config:
    """The configuration in a file. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(f"there is no file {path}; `retry-judge init URL` writes one.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"{path} cannot be read: {reason}.") from exc
    return parsed(text, path)


def parsed(text: str, path: Path) -> Config:
    """The configuration in a text; `path` is named in errors, and its folder is where commands run."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}: this is not TOML: {exc}.") from exc
    return _Reader(text, path, document).config()


class _Reader:
    def __init__(self, text: str, path: Path, document: Mapping[str, Any]) -> None:
        self.text = text
        self.path = path
        self.document = document

    def config(self) -> Config:
        for table, content in self.document.items():
            if table not in _NAMES:
                self.refuse(
                    table, "", f"there is no table [{table}]; allowed are {_and(_NAMES)}", root=True
                )
            if not isinstance(content, dict):
                self.refuse(table, "", f"{table} is a table, written [{table}]", root=True)
            for name, value in content.items():
                self._check_name(table, name, value)
        return Config(
            folder=self.path.resolve().parent,
            service=self._service(),
            request=self._request(),
            effect=self._effect(),
            expect=self._expect(),
        )

    def refuse(self, table: str, name: str, says: str, *, root: bool = False) -> NoReturn:
        line = line_of(self.text, "" if root else table, table if root else name)
        if root:
            line = max(line, line_of(self.text, table))
        raise ConfigError(f"{self.path}, line {line}: {says}.")

    def _check_name(self, table: str, name: str, value: Any) -> None:
        allowed = _NAMES[table]
        if name not in allowed:
            self.refuse(table, name, f"[{table}] has no {name!r}; allowed are {_and(allowed)}")
        kind = allowed[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = {
            _TEXT: isinstance(value, str),
            _TABLE_OF_TEXTS: isinstance(value, dict)
            and all(isinstance(text, str) for text in value.values()),
            "a number": number and _finite(value),
            "a number of seconds": number and _finite(value) and 0 < value <= _SECONDS_MAX,
            "a status": _is_status(value),
            "a list of statuses": isinstance(value, list) and all(map(_is_status, value)),
            "a table": isinstance(value, dict),
        }.get(kind, True)
        if not right:
            self.refuse(table, name, f"{name} is {kind}, not {_shown(value)}")

    def _service(self) -> Service:
        given = self.document.get("service", {})
        url = given.get("url", "")
        if not url:
            self.refuse(
                "service", "url", '[service] needs url, as in url = "http://127.0.0.1:3000"'
            )
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or parts.query or parts.fragment:
            self.refuse(
                "service", "url", f"url is http:// or https://, a host and a port, not {url!r}"
            )
        if given.get("ready") and not given["ready"].startswith("/"):
            self.refuse(
                "service", "ready", f"ready is a path that begins with /, not {given['ready']!r}"
            )
        if "env" in given and not given.get("start"):
            self.refuse("service", "env", "env is for start, which is missing")
        if "start" in given and not given["start"].strip():
            self.refuse("service", "start", "start is a command, not an empty text")
        return Service(
            url.rstrip("/"), given.get("start", ""), given.get("ready", ""), given.get("env", {})
        )

    def _request(self) -> Request:
        given = dict(self.document.get("request", {}))
        if "path" not in given:
            self.refuse("request", "path", '[request] needs path, as in path = "/payments"')
        for name in ("path", "other_path"):
            if name in given and not given[name].startswith("/"):
                self.refuse("request", name, f"{name} begins with /, not {given[name]!r}")
        given["method"] = given.get("method", "POST").upper()
        if given["method"] not in _METHODS:
            self.refuse(
                "request", "method", f"method is one of {_and(_METHODS)}, not {given['method']!r}"
            )
        bodies = [name for name in ("json", "body", "form") if name in given]
        if len(bodies) > 1:
            self.refuse(
                "request",
                bodies[1],
                f"a request has one of json, body and form, not {_and(bodies)}",
            )
        self._check_other(given, bodies[0] if bodies else "")
        for name in ("json", "form", "other"):
            self._check_sendable(name, given.get(name))
        for name in ("headers", "other_caller"):
            for header, text in given.get(name, {}).items():
                if (
                    not header.isascii()
                    or not text.isprintable()
                    or any(c in header for c in " :\t")
                ):
                    self.refuse("request", name, f"{header!r} in {name} cannot be sent as a header")
        request = Request(**given)
        if "{key}" not in _everything(request):
            self.refuse(
                "request",
                "headers",
                'no part of the request has {key}, as in headers = { "Idempotency-Key" = "{key}" }',
            )
        if not any(part in request.key for part in ("{uuid}", "{integer}", "{unique}")):
            self.refuse(
                "request",
                "key",
                "key needs {uuid}, {integer} or {unique}: every request has its own key",
            )
        return request

    def _check_sendable(self, name: str, value: Any) -> None:
        """TOML has dates and infinite numbers, JSON has none."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            self.refuse(
                "request",
                name,
                f"{name} has a date, a time or an infinite number, which JSON cannot hold",
            )

    def _check_other(self, given: Mapping[str, Any], body: str) -> None:
        if "other" not in given:
            return
        wanted: type | None = {"json": dict, "form": dict, "body": str}.get(body)
        if wanted is None:
            self.refuse(
                "request", "other", "other changes json, body or form; the request has none of them"
            )
        if body == "json" and not isinstance(given["json"], dict):
            wanted = object
        if not isinstance(given["other"], wanted):
            kind = (
                "a text that is sent in place of body"
                if body == "body"
                else f"a table that is merged into {body}"
            )
            self.refuse("request", "other", f"other is {kind}, not {_shown(given['other'])}")

    def _effect(self) -> Effect:
        given = self.document.get("effect", {})
        kinds: list[EffectKind] = [k for k in ("http", "sql", "command") if k in given]
        if len(kinds) != 1:
            has = (
                f"not {_and(kinds)}"
                if kinds
                else "and it has none: without it nothing can be counted"
            )
            self.refuse(
                "effect",
                kinds[1] if kinds else "",
                f"[effect] has one of http, sql and command, {has}",
            )
        kind = kinds[0]
        source = given[kind].strip()
        if kind == "http":
            method, _, target = source.partition(" ")
            if not method.isalpha() or not target.strip():
                self.refuse(
                    "effect",
                    "http",
                    f'http is a method and a path, as in "GET /accounts/alice", not {source!r}',
                )
            if "value" not in given:
                self.refuse(
                    "effect",
                    "value",
                    'http needs value, a JSONPath to a number, as in value = "$.balance"',
                )
        if kind == "sql" and not given.get("dsn", "").startswith(
            ("sqlite:///", "postgresql://", "postgres://")
        ):
            self.refuse("effect", "dsn", 'sql needs dsn, "postgresql://…" or "sqlite:///file"')
        if not source:
            self.refuse("effect", kind, f"{kind} is empty")
        if kind == "sql" and "value" in given:
            self.refuse(
                "effect", "value", "value is for http and command; sql gives its first column"
            )
        for name, of in (("dsn", "sql"), ("headers", "http")):
            if name in given and kind != of:
                self.refuse("effect", name, f"{name} is for {of}, not for {kind}")
        if "value" in given:
            try:
                compile_path(given["value"])
            except (JSONPathError, ValueError) as exc:
                self.refuse(
                    "effect", "value", f"value is not a JSONPath: {str(exc).splitlines()[0]}"
                )
        step = Decimal(str(given.get("step", 1)))
        if step == 0:
            self.refuse(
                "effect", "step", "step is the change of the reading for one effect, and not 0"
            )
        return Effect(
            kind,
            source,
            step,
            given.get("value", ""),
            given.get("dsn", ""),
            given.get("headers", {}),
        )

    def _expect(self) -> Expect:
        given = self.document.get("expect", {})
        name = given.get("profile", DEFAULT)
        if name not in PROFILES:
            self.refuse("expect", "profile", f"profile is one of {_and(PROFILES)}, not {name!r}")
        profile = PROFILES[name]
        return Expect(
            profile=name,
            missing_key=given.get("missing_key", profile.missing_key),
            other_payload=given.get("other_payload", profile.other_payload),
            in_flight=tuple(given.get("in_flight", profile.in_flight)),
            retention_s=given.get("retention_s"),
            slow_s=given.get("slow_s"),
            in_flight_ends_s=given.get("in_flight_ends_s", IN_FLIGHT_ENDS_S),
            stated=frozenset(given),
        )


def _everything(request: Request) -> str:
    parts = (request.path, request.headers, request.json, request.body, request.form)
    return " ".join(map(str, parts))


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _and(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:-1]) + (" and " if len(listed) > 1 else "") + listed[-1]
