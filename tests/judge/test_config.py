"""judge.toml: what is refused, with the line and what is allowed."""

from decimal import Decimal
from pathlib import Path

import pytest

from judge.beginning import write
from judge.config.reading import parsed, read
from judge.errors import ConfigError

_FILE = Path("judge.toml")
_WHOLE = """\
[service]
url = "http://127.0.0.1:3000"
start = "run"
env = { A = "b" }
[request]
path = "/payments"
headers = { "Idempotency-Key" = "{key}" }
json = { amount = 100, reference = "{unique}" }
other = { amount = 101 }
[effect]
http = "GET /accounts/alice"
value = "$.balance"
step = -100
[expect]
in_flight = [409]
slow_s = 2
"""


def test_what_is_not_given_has_its_default() -> None:
    """Method, key and the statuses of draft-07."""
    config = parsed(_WHOLE, _FILE)
    assert (config.request.method, config.request.key) == ("POST", "{uuid}")
    assert (config.expect.profile, config.expect.missing_key, config.expect.other_payload) == (
        "draft-07",
        400,
        422,
    )
    assert config.effect.step == Decimal(-100)
    assert config.expect.is_stated("in_flight")
    assert not config.expect.is_stated("missing_key")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('url = "http', 'urll = "http', 2, "allowed are url, start, ready and env"),
        ('"http://127.0.0.1:3000"', '"127.0.0.1:3000"', 2, "url is http:// or https://"),
        ('"http://127.0.0.1:3000"', '"http://127.0.0.1:99999"', 2, "url is http:// or https://"),
        ('"http://127.0.0.1:3000"', "3000", 2, "url is a text, not 3000"),
        ('start = "run"', 'start = " "', 3, "start is a command"),
        ('start = "run"\n', "", 3, "env is for start"),
        ('env = { A = "b" }', "env = { A = 1 }", 4, "env is a table of texts"),
        (
            "[request]",
            "[reqest]",
            5,
            "there is no table [reqest]; allowed are service, request, effect and expect",
        ),
        ('"/payments"', '"payments"', 6, "path begins with /"),
        ('"{key}"', '"key"', 7, "no part of the request has {key}"),
        ("json = {", 'body = "x"\njson = {', 8, "one of json, body and form"),
        ("amount = 100,", "amount = 1979-05-27,", 8, "JSON cannot hold"),
        ("amount = 100,", "amount = inf,", 8, "JSON cannot hold"),
        ("other = { amount = 101 }", 'other = "x"', 9, "other is a table that is merged into json"),
        ("http = ", 'sql = "x"\nhttp = ', 11, "one of http, sql and command"),
        ('"GET /accounts/alice"', '"/accounts/alice"', 11, "a method and a path"),
        ('"$.balance"', '"$.["', 12, "value is not a JSONPath"),
        ("step = -100", 'step = "x"', 13, "step is a number"),
        ("step = -100", "step = 0", 13, "not 0"),
        ("step = -100", "step = nan", 13, "step is a number"),
        ("[409]", "[9]", 15, "in_flight is a list of statuses"),
        ("slow_s = 2", "slow_s = -2", 16, "slow_s is a number of seconds"),
        ("slow_s = 2", 'profile = "draft-6"', 16, "profile is one of draft-07, stripe and lenient"),
        ("slow_s = 2", "missing_key = true", 16, "missing_key is a status"),
    ],
)
def test_a_wrong_line(old: str, new: str, line: int, says: str) -> None:
    """One sentence with the line and what is allowed."""
    assert old in _WHOLE
    with pytest.raises(ConfigError) as refused:
        parsed(_WHOLE.replace(old, new, 1), _FILE)
    message = str(refused.value)
    assert message.startswith(f"judge.toml, line {line}: "), message
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[service", "this is not TOML"),
        ("", "[service] needs url"),
        ('[service]\nurl = "http://h"', "[request] needs path"),
        ('service = "x"', "service is a table"),
    ],
)
def test_what_is_no_configuration(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=".*") as refused:
        parsed(text, _FILE)
    assert says in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8: one sentence each."""
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.toml", tmp_path, binary):
        with pytest.raises(ConfigError) as refused:
            read(path)
        assert "\n" not in str(refused.value)


def test_init_writes_what_can_be_read(tmp_path: Path) -> None:
    """The path of the URL becomes the path of the request; a file that is there stays."""
    file = tmp_path / "judge.toml"
    write("http://127.0.0.1:8080/api/payments", file)
    config = read(file)
    assert (config.service.url, config.request.path) == ("http://127.0.0.1:8080", "/api/payments")
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="not overwritten"):
        write("http://127.0.0.1:8081", file)
    assert file.read_bytes() == before
    for url in ("127.0.0.1", "ftp://host", 'http://a"b', "http://["):
        with pytest.raises(ConfigError, match="a URL begins with"):
            write(url, tmp_path / "other.toml")


def test_every_commented_line_of_init_is_allowed(tmp_path: Path) -> None:
    """Whoever takes the comments away, table by table, gets a file that can be read."""
    file = tmp_path / "judge.toml"
    write("http://127.0.0.1:8080", file)
    lines = file.read_text(encoding="utf-8").splitlines()
    skipped = ("sql", "dsn", "command")
    text = "\n".join(
        line.removeprefix("# ")
        if line.startswith("# ")
        and (" = " in line or line == "# [expect]")
        and not line.startswith(tuple(f"# {s}" for s in skipped))
        and "Use body" not in line
        else line
        for line in lines
    )
    config = parsed(text, file)
    assert config.service.start
    assert config.request.other_path == "/refunds"
    assert config.expect.retention_s == 5
