"""The virtual environment is made where it should be, whatever the person has set for pip."""

import os
import subprocess
import sys
from pathlib import Path

from stack.schema import PROJECT


def make(
    folder: Path, lock: Path, proof: str, environ: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-E", "-m", "stack.bootstrap", str(folder)),
            *("--lock", str(lock), "--proof", proof),
        ],
        cwd=PROJECT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_settings_for_other_places(tmp_path: Path) -> None:
    """PIP_USER, PIP_TARGET and the like change nothing; the second time there is nothing to do."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("", encoding="utf-8")
    hostile = {
        "PIP_USER": "1",
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_PREFIX": str(tmp_path / "prefix"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PYTHONHOME": "/nowhere",
        "PYTHONSAFEPATH": "1",
        "TMPDIR": "/nowhere",
        "SSL_CERT_FILE": "/nowhere",
    }
    folder = tmp_path / "venv"
    first = make(folder, lock, "pip", hostile)
    assert first.returncode == 0, first.stderr
    assert "Making the virtual environment" in first.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"requirements.lock", "venv", "venv.lock"}
    again = make(folder, lock, "pip", hostile)
    assert (again.returncode, again.stdout) == (0, "")
    # A package that was installed somewhere else would not be found later.
    (folder / ".complete").unlink()
    elsewhere = make(folder, lock, "no_such_module", {})
    assert elsewhere.returncode == 2
    assert "Traceback" not in elsewhere.stderr
    assert "does a pip.conf set target, prefix or root?" in elsewhere.stderr
    assert not (folder / ".complete").exists()


def test_an_index_that_cannot_be_reached(tmp_path: Path) -> None:
    """What pip said, one sentence, exit code 2; the next one begins anew."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"fastapi==0.1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    ended = make(tmp_path / "venv", lock, "pip", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})
    assert ended.returncode == 2
    assert "The packages could not be installed: is the package index reachable?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "venv" / ".complete").exists()
