"""Requests from templates, and the curl commands that repeat them."""

import json
import subprocess
import time
from pathlib import Path

from judge.config.model import Request
from judge.outputs.curl import curl
from judge.requests import Change, Requests


def test_retries_have_the_same_bytes_and_new_requests_do_not() -> None:
    """All templates stay the same within one logical request."""
    requests = Requests(
        Request(
            path="/p",
            headers={"K": "{key}"},
            json={"a": "{unique}", "b": [{"c": "{uuid}{integer}"}]},
        )
    )
    values, others = requests.new(), requests.new()
    assert requests.render(values) == requests.render(values)
    assert requests.render(values).content != requests.render(others).content
    assert values.key != others.key


def test_integers_count_up_across_runs() -> None:
    """A later run begins above the keys of an earlier one, and below what JavaScript can hold."""
    config = Request(headers={"K": "{key}"}, key="{integer}")
    now_ms = time.time_ns() // 1_000_000
    first = Requests(config)
    used = [int(first.new().key) for _ in range(3)]
    assert used == sorted(set(used))
    assert used[-1] < 2**53
    # A run takes longer than a millisecond for each of its keys.
    assert now_ms <= used[0] <= time.time_ns() // 1_000_000


def test_braces_that_are_no_templates_stay() -> None:
    """A body is JSON, and JSON has braces."""
    requests = Requests(
        Request(headers={"K": "{key}"}, body='{"amount": {"cents": 1}, "ref": "{unique}"}')
    )
    document = json.loads(requests.render(requests.new()).content)
    assert document["amount"] == {"cents": 1}


def test_another_payload_is_merged_deeply() -> None:
    requests = Requests(
        Request(headers={"K": "{key}"}, json={"a": {"b": 1, "c": 2}, "d": 3}, other={"a": {"b": 9}})
    )
    content = requests.render(requests.new(), Change(other_payload=True)).content
    assert json.loads(content) == {"a": {"b": 9, "c": 2}, "d": 3}


def test_the_key_can_be_left_out_where_it_is() -> None:
    """In a header, in JSON or in a form; of a path it cannot be taken."""
    without = Change(without_key=True)
    header = Requests(Request(headers={"K": "{key}", "A": "b"}))
    assert dict(header.render(header.new(), without).headers) == {"A": "b"}
    body = Requests(Request(json={"id": "{key}", "n": 1}))
    assert json.loads(body.render(body.new(), without).content) == {"n": 1}
    form = Requests(Request(form={"id": "{key}", "n": 1}))
    assert form.render(form.new(), without).content == b"n=1"
    assert Requests(Request(path="/{key}")).carrier == ""


def test_a_second_caller_takes_the_place_of_the_first() -> None:
    """Whatever the spelling of the header's name is."""
    requests = Requests(
        Request(
            headers={"authorization": "one", "K": "{key}"}, other_caller={"Authorization": "two"}
        )
    )
    headers = requests.render(requests.new(), Change(other_caller=True)).headers
    assert [value for name, value in headers if name.lower() == "authorization"] == ["two"]


def test_a_curl_command_can_be_pasted(tmp_path: Path) -> None:
    """A shell reads it back as it was meant; the token is a variable."""
    requests = Requests(
        Request(
            path="/p?x=$HOME",
            headers={"Authorization": "Bearer secret", "Idempotency-Key": '"{key}"', "Empty": ""},
            json={"text": 'it\'s $PATH `x` "q" é'},
        )
    )
    rendered = requests.render(requests.new())
    command = curl(rendered, "http://127.0.0.1:1")
    assert "secret" not in command
    fake = tmp_path / "curl"
    fake.write_text(
        '#!/bin/sh\nfor each in "$@"; do printf "%s\\0" "$each"; done\n', encoding="utf-8"
    )
    fake.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "AUTHORIZATION": "Bearer secret"}
    said = subprocess.run(
        ["/bin/sh", "-c", command], env=environ, capture_output=True, check=True
    ).stdout
    arguments = said.decode().split("\0")
    assert arguments[-2] == "http://127.0.0.1:1/p?x=$HOME"
    assert "Authorization: Bearer secret" in arguments
    assert f'Idempotency-Key: "{rendered.key}"' in arguments
    assert "Empty;" in arguments
    assert arguments[arguments.index("--data-raw") + 1].encode() == rendered.content
