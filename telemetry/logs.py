"""Structured logs: one JSON object a line on standard output.

Guarantee: the services' own lines and the libraries' (uvicorn, asyncio) have the same form and go to the same place.
"""

import json
import logging
import sys
from typing import Any

import structlog

from telemetry.trace import add_trace

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
        structlog.contextvars.merge_contextvars,
        add_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [
        name_service,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_encoded),
    ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(),
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
