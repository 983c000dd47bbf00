"""A service is guarded although uvicorn was started without `--http`."""

import subprocess
import sys

from stack.schema import PROJECT

# In a process of its own: another test of this one may have installed a guard.
PROGRAM = """
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from service_kit import http_guard
from service_kit.http_guard.protocol import GuardedProtocol

class Named(HttpToolsProtocol):
    pass

def made(protocol):
    return type(protocol.__new__(protocol))

assert made(HttpToolsProtocol) is HttpToolsProtocol
http_guard.install(FastAPI(), lambda settings: settings(), "http://s", CollectorRegistry())
assert made(HttpToolsProtocol) is GuardedProtocol
assert made(Named) is Named
"""


def test_a_plain_uvicorn_makes_guarded_connections() -> None:
    """After `install`, and not before; a class that was named with `--http` stays."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
