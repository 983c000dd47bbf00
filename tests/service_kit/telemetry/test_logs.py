"""Lines of the log, and the trace that each one carries."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog

from service_kit.telemetry import configure_logs
from service_kit.telemetry.logs import _Lines
from stack.schema import PROJECT
from tests.architecture.contracts import SERVICES

# In a process of its own: the logging of this one belongs to pytest.
PROGRAM = """
import asyncio, logging, structlog
from service_kit.telemetry.logs import configure_logs
from service_kit.telemetry.trace import TraceContext, traceparent

configure_logs("billing_service")
structlog.get_logger().warning("ours")
logging.getLogger("uvicorn.error").warning("a library's")

async def app(scope, receive, send):
    structlog.get_logger().info("ours", sent=traceparent())
    logging.getLogger("asyncio").info("a library's")

async def ask(*headers):
    scope = {"type": "http", "headers": list(headers)}
    await TraceContext(app)(scope, None, None)

async def requests():
    valid = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    for headers in ([(b"traceparent", valid)], [], [(b"traceparent", b"00-" + b"0" * 32 + valid[35:])]):
        await asyncio.create_task(ask(*headers))

asyncio.run(requests())

class Odd:
    def __repr__(self):
        return "an odd value"

structlog.get_logger().info("values", umlaut="\\xfc", separator="\\u2028", surrogate="\\ud800", odd=Odd())
structlog.get_logger().info("values", umlaut="\\xfc", separator="\\u2028", odd=Odd())
structlog.get_logger().info("values", separator="-", odd=Odd())
"""


def lines() -> list[dict[str, Any]]:
    """What the program has logged, in its order."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stderr == ""
    assert ended.stdout.isascii()
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_every_line_has_the_same_form() -> None:
    """The service's own and a library's: JSON on standard output, with the same members."""
    outside = [line for line in lines() if "trace_id" not in line and "odd" not in line]
    assert {line["event"] for line in outside} == {"ours", "a library's"}
    for line in outside:
        assert set(line) == {"event", "level", "timestamp", "service"}
        assert (line["level"], line["service"]) == ("warning", "billing_service")


def test_a_request_carries_its_trace_into_each_line() -> None:
    """A valid header names the trace; without one a trace begins. What goes on names it with a span of its own."""
    ours = [line for line in lines() if "sent" in line]
    libraries = [line for line in lines() if "trace_id" in line and "sent" not in line]
    assert len(ours) == len(libraries) == 3
    given, *begun = ours
    assert (given["trace_id"], given["parent_id"]) == ("a" * 32, "b" * 16)
    assert (libraries[0]["trace_id"], libraries[0]["parent_id"]) == ("a" * 32, "b" * 16)
    assert {line["parent_id"] for line in begun} == {None}
    assert len({line["trace_id"] for line in ours}) == 3
    assert "0" * 32 not in {line["trace_id"] for line in ours}
    for line in ours:
        version, trace_id, span, _ = line["sent"].split("-")
        assert (version, trace_id) == ("00", line["trace_id"])
        assert span != line["parent_id"]


def test_a_line_is_ascii_whatever_its_values_are() -> None:
    """A terminal of any encoding shows it. Lone surrogates are escaped, and other values are written as their `repr`."""
    values = [line for line in lines() if "odd" in line]
    assert [line.get("surrogate") for line in values] == ["\ud800", None, None]
    assert [line.get("umlaut") for line in values] == ["\xfc", "\xfc", None]
    assert [line["separator"] for line in values] == ["\u2028", "\u2028", "-"]
    assert {line["odd"] for line in values} == {"an odd value"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_names_itself(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of all services end in one place: an operator finds those of one by its name."""
    SERVICES[service]()
    structlog.get_logger().info("created")
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["service"]) == ("created", service)


@pytest.mark.parametrize(("level", "shown"), [({}, 1), ({"level": "DEBUG"}, 2)])
def test_what_is_shown(
    level: dict[str, str], shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """From `info` on, if nothing else is asked for; of the HTTP clients' own lines only the warnings."""
    configure_logs("s", **level)
    structlog.get_logger().debug("ours")
    structlog.get_logger().info("ours")
    for name in ("httpx", "httpcore", "another"):
        logging.getLogger(name).info("theirs")
        logging.getLogger(name).warning("their warning")
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events.count("ours") == shown
    assert events.count("theirs") == 1
    assert events.count("their warning") == 3
    configure_logs("s")


def test_a_line_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk loses it, and not those after it; nothing is kept for ever."""

    class Full:
        def __init__(self) -> None:
            self.written: list[str] = []
            self.full = True

        def write(self, text: str) -> None:
            if self.full:
                raise OSError(28, "no space left")
            self.written.append(text)

        def flush(self) -> None:
            """Nothing is kept back."""

    output = Full()
    monkeypatch.setattr(sys, "stdout", output)
    lines = _Lines()
    with pytest.raises(OSError, match="no space left"):
        lines.info("lost")
    output.full = False
    lines.info("after it")
    assert (output.written, lines._waiting) == (["after it\n"], [])
