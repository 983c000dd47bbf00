"""No request leaves this machine, unless its user owns the service."""

import socket
from pathlib import Path
from typing import Any

import pytest

from judge.config.reading import parsed
from judge.errors import ConfigError
from judge.loopback import require_loopback
from tests.judge.conftest import smallest

HERE, THERE = "127.0.0.1", "192.0.2.1"


@pytest.mark.parametrize(
    ("addresses", "probe", "here"),
    [
        ([HERE], "GET /", True),
        (["::1", HERE], "GET /", True),
        ([HERE, THERE], "GET /", False),
        ([THERE], "GET /", False),
        ([HERE], "GET http://elsewhere.example/", False),
    ],
)
def test_every_address_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: list[str], probe: str, here: bool
) -> None:
    """A name that leads elsewhere as well is not of this machine; neither is a probe that asks elsewhere."""

    def found(host: str, *_: Any, **__: Any) -> Any:
        return [
            (0, 0, 0, "", (each, 0)) for each in ([THERE] if "elsewhere" in host else addresses)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    text = smallest("http://service.example:1", probe=probe)
    config = parsed(text, tmp_path / "judge.toml")
    require_loopback(config, owned=True)
    if here:
        require_loopback(config, owned=False)
    else:
        with pytest.raises(ConfigError, match="is not on this machine"):
            require_loopback(config, owned=False)
