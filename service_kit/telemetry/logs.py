"""Structured logs: one JSON object a line on standard output.

Guarantee: the services' own lines and the libraries' (uvicorn, asyncio) have the same form and go to the same place.
"""

import asyncio
import json
import logging
import sys
from typing import Any

import structlog

from service_kit.telemetry.trace import add_trace

# Made once: json.dumps makes one for each line, which takes longer than to encode it. What JSON does not know is shown
# as Python would show it.
_ENCODER = json.JSONEncoder(default=repr)


def configure_logs(service: str, level: str = "INFO") -> None:
    """Sets up structlog and the standard library's logging for this process.

    The services' lines do not go through the standard library: it would take as long again as the line itself.
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
    # A line for each request that goes out says less than the service's own line about it.
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _encoded(event: Any, **_: Any) -> str:
    return _ENCODER.encode(event)


class _Lines:
    """Writes to standard output what was logged within one turn of the event loop at once; without a loop, at once.

    A process that is killed loses the lines of its last turn. They are for operators; what must not be lost is in
    Postgres.
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
