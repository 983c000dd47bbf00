"""`make compose-test` without Docker says so in one sentence."""

import subprocess
import sys

from stack.schema import PROJECT


def test_without_docker() -> None:
    """Exit code 2, unknown: nothing was tested, so nothing has passed."""
    ended = subprocess.run(
        [sys.executable, "-m", "chaos.compose"],
        cwd=PROJECT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "there is no docker on the PATH" in ended.stderr
    assert "Traceback" not in ended.stderr
