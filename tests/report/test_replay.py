"""A saved play is one file that asks nobody for anything, whatever text was recorded in it."""

import re
from html.parser import HTMLParser

from report.replay import Figure, replay
from tests.report import sample

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'


class Elements(HTMLParser):
    """The elements that a browser makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def saved(text: str) -> str:
    """A file with this text wherever recorded text can stand."""
    _, events = sample.broken_run()
    events = [{**event, "account": text, "toxic": text} for event in events[:40]]
    return replay(text, text, [text], [(text, [text])], [Figure(text, text, events, "twice")], text)


def test_recorded_text_is_text() -> None:
    """It makes no element, and the only script is the player."""
    page = saved(HOSTILE)
    found = Elements()
    found.feed(page)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert "svg" in found.tags


def test_nothing_else_is_asked_for() -> None:
    """The policy names its own style and script by their hashes and forbids the rest; no address is loaded."""
    page = saved("plain")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert re.findall(r'(?:src|href)="(?!data:,)([^"#]+)"', page) == []


def test_a_play_of_nothing() -> None:
    """It says so."""
    assert "Nothing was played yet." in replay("x", "y", [], [], [], "")
