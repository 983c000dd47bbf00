"""Each bound of the guard has a range; a value outside of it stops the start and names its variable."""

import pytest
from annotated_types import Ge, Gt, Le

from service_kit import environment
from service_kit.http_guard import Settings

FIELDS = Settings.model_fields


def lowest_and_highest(field: str) -> tuple[float, float]:
    """The last value that is allowed at either end; a lower end that is excluded is just below a millisecond."""
    found = {type(each): each for each in FIELDS[field].metadata}
    lowest = found[Ge].ge if Ge in found else found[Gt].gt + 0.001
    return lowest, found[Le].le


def read(field: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a process whose environment names this value."""
    monkeypatch.setenv(f"HTTP_{field.upper()}", text)
    return environment.read(Settings)


@pytest.mark.parametrize("field", FIELDS)
def test_every_bound_has_a_range(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends are allowed, and the default lies between them: no setting can switch a bound off."""
    ends = lowest_and_highest(field)
    for end in ends:
        assert getattr(read(field, str(end), monkeypatch), field) == end
    monkeypatch.delenv(f"HTTP_{field.upper()}")
    assert ends[0] <= getattr(environment.read(Settings), field) <= ends[1]


@pytest.mark.parametrize("text", ["0", "-1", "2000000000", "nan", "inf", "", "many", "1_0x"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_value_outside_of_its_range(
    field: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence that begins with the variable."""
    with pytest.raises(SystemExit) as ended:
        read(field, text, monkeypatch)
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"HTTP_{field.upper()}: ")
