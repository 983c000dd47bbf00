"""What of a person's environment reaches a child, and what this process's own connections read."""

import os
from pathlib import Path

import asyncpg
import pytest

from stack import environ
from stack.postgres import PostgresCluster

MISLEADING = {
    "PGSSLMODE": "require",
    "PGHOST": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "VIRTUAL_ENV": "/nowhere",
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "GOROOT": "/nowhere",
    "GO111MODULE": "off",
    "GOFLAGS": "-mod=vendor",
    "GOOS": "windows",
    "MAKEFLAGS": "-j8",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
SOURCES = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9/extra",
    "PIP_CONFIG_FILE": "/somewhere/pip.conf",
    "GOPROXY": "off",
    "GONOSUMDB": "example.com",
    "https_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that has exported all of it."""
    for name, text in (MISLEADING | SOURCES).items():
        monkeypatch.setenv(name, text)


def test_a_child_gets_what_it_needs_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are those of a short list, its settings, and what it may inherit by the beginning of its name."""
    monkeypatch.setenv("ORDER_LEASE_S", "11")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PIPELINE_MAX", "3")
    child = environ.of_child({"BILLING_TOKENS": "{}"}, inherited=("ORDER_", "HTTP_"))
    assert child.keys() <= {
        *("PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "LC_ALL"),
        *("PYTHONUTF8", "PYTHONUNBUFFERED", "ORDER_LEASE_S", "HTTP_PIPELINE_MAX", "BILLING_TOKENS"),
    }
    assert child["ORDER_LEASE_S"] == "11"
    assert child["HTTP_PIPELINE_MAX"] == "3"


def test_a_download_goes_where_the_person_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index, proxies and certificates stay; where things are installed and for which system does not."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere{os.pathsep}{Path(__file__).parent}")
    download = environ.of_download()
    assert SOURCES.items() <= download.items()
    assert not MISLEADING.keys() & download.keys()
    # A file that does not exist would only make every client fail.
    assert "SSL_CERT_FILE" not in download
    assert "SSL_CERT_DIR" in download


async def test_this_process_connects_where_it_means_to(cluster: PostgresCluster) -> None:
    """libpq's variables would send asyncpg elsewhere, or make it ask for TLS."""
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(cluster.url("postgres"))
    environ.settle_own()
    connection = await asyncpg.connect(cluster.url("postgres"))
    await connection.close()
    assert "127.0.0.1" in os.environ["no_proxy"]
    assert os.environ["HTTPS_PROXY"] == SOURCES["HTTPS_PROXY"]


def test_without_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child gets one that exists."""
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert Path(environ.of_child()["TMPDIR"]).is_dir()
