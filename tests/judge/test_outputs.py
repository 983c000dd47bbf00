"""result.json, JUnit, SARIF, HTML and badge of two runs: one with a broken promise, one with hostile answers."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from judge.config.reading import parsed
from judge.evidence import Evidence, clock
from judge.outputs.badge import badge
from judge.outputs.junit import junit
from judge.outputs.page import page
from judge.outputs.result import result
from judge.outputs.sarif import sarif
from judge.verdict import Run, Verdict
from tests.judge.conftest import Judge, planted

_HOSTILE = "<script>alert(1)</script>\x00\x1b[31m]]>&\"'\ud800‮"
_SVG = "{http://www.w3.org/2000/svg}"
_VOID = {"meta", "link", "input", "br"}
# Of SARIF 2.1.0 (OASIS), the part that is written: required properties, enumerations, and nothing besides.
_SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {"type": "object", "required": ["id"]},
                                    }
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "properties": {
                                "startTimeUtc": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
                            },
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "level"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "locations": {"type": "array"},
                                "partialFingerprints": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}


def _document(verdict: str = "fail", text: str = _HOSTILE) -> dict[str, Any]:
    attempt = {
        "kind": "attempt",
        "at_ms": 1.0,
        "ended_ms": 2.0,
        "number": 1,
        "label": text,
        "through": "directly",
        "status": 201,
        "saw": text,
        "curl": text,
    }
    case = {
        "name": "replay",
        "title": "retry",
        "promise": text,
        "control": text,
        "verdict": verdict,
        "sentence": text,
        "cause": text,
        "seconds": 1.5,
        "notes": [text],
        "witnesses": [{"claim": text, "seen": True}],
        "events": [
            attempt,
            {**attempt, "number": 2, "status": 0, "through": "through Toxiproxy", "ended_ms": 4.0},
            {"kind": "armed", "at_ms": 2.5, "text": text},
            {"kind": "healed", "at_ms": 2.6, "text": text},
            {"kind": "killed", "at_ms": 2.7, "text": text},
            {"kind": "started", "at_ms": 2.8, "text": text},
            {"kind": "reading", "at_ms": 3.0, "value": 1, "effects": 2},
        ],
    }
    return {
        "format": 1,
        "tool": "retry-judge",
        "url": "http://127.0.0.1:1",
        "profile": "draft-07",
        "seed": 1,
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 2.0,
        "latency_s": 0.1,
        "lag_s": 0.0,
        "step": 1,
        "verdict": verdict,
        "exit_code": 1,
        "cases": [case],
        "not_played": [{"name": "retention", "title": "later", "why": text}],
    }


class _Balanced(HTMLParser):
    """Fails on an end without its beginning; collects ids and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


@pytest.mark.parametrize("verdict", ["fail", "unknown", "pass"])
def test_the_page_is_well_formed(verdict: str) -> None:
    """Balanced, each id once, and what the service says is text: there is one script, our own."""
    html = page(_document(verdict))
    parser = _Balanced()
    parser.feed(html)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.tags.count("script") == 1
    assert "svg" in parser.tags
    assert "http://" not in html.replace("http://www.w3.org/", "").replace("http://127.0.0.1", "")


@pytest.mark.parametrize(
    ("verdict", "failures", "errors", "child"),
    [("fail", "1", "0", "failure"), ("unknown", "0", "1", "error"), ("pass", "0", "0", None)],
)
def test_junit(verdict: str, failures: str, errors: str, child: str | None) -> None:
    """Valid XML whatever was answered; counts add up; what was not played is skipped."""
    suite = ET.fromstring(junit(_document(verdict)))[0]  # noqa: S314 - our own
    assert (
        suite.get("tests"),
        suite.get("failures"),
        suite.get("errors"),
        suite.get("skipped"),
    ) == ("2", failures, errors, "1")
    case, left = suite.findall("testcase")
    assert [element.tag for element in case] == ([child] if child else [])
    assert [element.tag for element in left] == ["skipped"]


@pytest.mark.parametrize(
    ("verdict", "levels"), [("fail", ["error"]), ("unknown", ["warning"]), ("pass", [])]
)
def test_sarif(verdict: str, levels: list[str]) -> None:
    """Of the standard's shape, and each result names a rule of the same file."""
    document = json.loads(sarif(_document(verdict, "text")))
    jsonschema_rs.validate(_SARIF, document)
    run = document["runs"][0]
    assert [each["level"] for each in run["results"]] == levels
    for each in run["results"]:
        assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]


@pytest.mark.parametrize(
    ("verdict", "word"), [("pass", "survive"), ("fail", "broken"), ("unknown", "unknown")]
)
def test_the_badge_says_it_in_words(verdict: str, word: str) -> None:
    root = ET.fromstring(badge(verdict))  # noqa: S314 - our own
    assert root.tag == f"{_SVG}svg"
    assert word in [text.text for text in root.iter(f"{_SVG}text")]


async def test_the_files_of_a_run(judge: Judge, tmp_path: Path) -> None:
    """All five are there, agree on the verdict, and hold no token; standard output is the result when asked for."""
    judged = await judge(
        planted("no_protection", tmp_path),
        "--only",
        "replay",
        "--json",
        "--html",
        str(tmp_path / "more.html"),
    )
    assert judged.code == 1
    assert json.loads(judged.output) == judged.document
    names = {file.name for file in judged.folder.iterdir()}
    assert names == {"result.json", "junit.xml", "results.sarif", "report.html", "badge.svg"}
    texts = {file.name: file.read_text(encoding="utf-8") for file in judged.folder.iterdir()}
    assert not [name for name, text in texts.items() if "one-token" in text]
    assert "one-token" not in judged.output + judged.errors
    assert ET.fromstring(texts["junit.xml"]).get("failures") == "1"  # noqa: S314 - our own
    jsonschema_rs.validate(_SARIF, json.loads(texts["results.sarif"]))
    assert (tmp_path / "more.html").read_text(encoding="utf-8") == texts["report.html"]
    parser = _Balanced()
    parser.feed(texts["report.html"])
    assert parser.open == []


async def test_no_colour_without_a_terminal(judge: Judge, tmp_path: Path) -> None:
    """Neither escapes nor carriage returns in a log of CI."""
    judged = await judge(planted("right", tmp_path), "--only", "replay")
    assert judged.code == 0
    assert not {"\x1b", "\r"} & set(judged.output + judged.errors)


@pytest.mark.parametrize(
    "where",
    [
        'headers = { "Idempotency-Key" = "{key}", Authorization = "Bearer secret-of-judge" }',
        'headers = { "Idempotency-Key" = "{key}" }\nother_caller = { "X-Api-Key" = "secret-of-judge" }',
        'headers = { "Idempotency-Key" = "{key}" }\n[effect]\nheaders = { Authorization = "Bearer secret-of-judge" }',
    ],
    ids=["of the request", "of the second caller", "of the probe"],
)
def test_no_secret_is_written(tmp_path: Path, where: str) -> None:
    """Wherever judge.toml has it, and wherever the service says it again."""
    effect = "" if "[effect]" in where else "[effect]"
    text = f"""
[service]
url = "http://127.0.0.1:9"
[request]
path = "/payments"
{where}
{effect}
http = "GET /"
value = "$.n"
step = 1
"""
    config = parsed(text, tmp_path / "judge.toml")
    evidence = Evidence(clock())
    evidence.note("the probe was refused: secret-of-judge is not known")
    said = "an answer that says secret-of-judge"
    run = Run(config.service.url, 1, "now", "draft-07")
    run.verdicts.append(Verdict("a", "a", "a", "a", "fail", said, "", 0.1, evidence))
    document = json.dumps(result(run, config))
    assert "secret-of-judge" not in document
    assert document.count("***") == 2
