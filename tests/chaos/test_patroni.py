"""`make patroni-test` names what is missing; the cluster itself is played where Patroni and etcd are installed."""

import importlib.util
import shutil

import pytest
import yaml

import chaos.patroni.__main__ as command
from chaos.patroni import cluster
from tests.architecture.rules import PROJECT


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("etcd", "etcd is missing"), ("patroni", "the package patroni is missing")],
)
def test_a_piece_that_is_missing(
    missing: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2, before anything is started."""
    found = importlib.util.find_spec
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/bin/{name}")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else found(name)
    )
    assert command.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"patroni-test: {sentence}")
    assert error.count("\n") == 1


def test_a_strike_that_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the names that there are."""
    with pytest.raises(SystemExit) as ended:
        command.main(["--only", "everything"])
    assert ended.value.code == 2
    assert "leader-killed" in capsys.readouterr().err


def test_the_page_shows_the_file_that_is_used() -> None:
    """docs/running.md has deploy/patroni/patroni.yml word for word, and it asks for strict synchronous replication."""
    text = cluster.CONFIG.read_text(encoding="utf-8")
    assert text in (PROJECT / "docs" / "running.md").read_text(encoding="utf-8")
    dcs = yaml.safe_load(text)["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == (True, True)
