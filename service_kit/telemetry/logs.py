"""Structured logs: one JSON object per line on standard output.

Guarantee: lines of the services and of libraries (uvicorn, asyncio) have the same form and go to standard output.
"""

import asyncio
import json
import logging
import sys
from typing import Any

import structlog
from pydantic_core import to_json

from service_kit.telemetry.trace import add_trace

# For the lines that `_encoded` does not write itself.
_ENCODER = json.JSONEncoder(default=repr)


def configure_logs(service: str, level: str = "INFO") -> None:
    """Sets up structlog and the standard library's logging for this process.

    The services' own lines bypass the standard library, which would double the time of each line.
    """

    def name_service(
        _: object, __: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    shared: list[structlog.typing.Processor] = [
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [
        name_service,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_encoded),
    ]
    lines = _Lines()
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their line for each outgoing request says less than the service's own line about it.
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _encoded(event: Any, **_: Any) -> str:
    """The event as JSON in ASCII, which every terminal shows. Values that JSON does not know are written as their `repr`.

    pydantic's encoder takes a fifth of the time of the standard library's, but writes UTF-8 and refuses lone surrogates.
    """
    try:
        line = to_json(event, fallback=repr)
    except ValueError:
        return _ENCODER.encode(event)
    return line.decode() if line.isascii() else _ENCODER.encode(event)


class _Lines:
    """Writes all lines of one turn of the event loop with one call; without a loop, each line immediately.

    A killed process loses the lines of its last turn. Logs are for operators; data that must not be lost is in Postgres.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def _write_later(self, line: str) -> None:
        self._waiting.append(line + "\n")
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:
                self._write()

    def _write(self) -> None:
        text = "".join(self._waiting)
        self._waiting.clear()
        sys.stdout.write(text)
        sys.stdout.flush()

    debug = info = warning = error = critical = msg = _write_later
