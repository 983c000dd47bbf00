"""The command `up`: refused arguments, and one function for `python -m stack up` and `python -m chaos up`."""

import pytest

from chaos.__main__ import COMMANDS
from stack.__main__ import main
from stack.up import up


@pytest.mark.parametrize("replicas", ["0", "5", "-1", "two", ""])
def test_a_number_of_replicas_that_is_refused(
    replicas: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence, before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(["up", "--replicas", replicas])
    assert ended.value.code == 2
    assert "the number of replicas is 1 to 4" in capsys.readouterr().err


def test_chaos_starts_the_same_stack() -> None:
    """`python -m chaos up` is the same function."""
    assert COMMANDS["up"] is up
