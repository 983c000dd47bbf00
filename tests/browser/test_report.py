"""The report in a real Chromium, as a person sees it: light and dark, on a desktop and on a phone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from report.page import page
from tests.browser.chromium import Screen, Tab
from tests.report import sample
from tests.report.conftest import made_hostile
from tests.report.sample import Run

CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")
SCREENS = {
    f"{scheme}-{name}": Screen(scheme, width_px, height_px)
    for scheme in ("light", "dark")
    for name, width_px, height_px in (
        ("desktop", 1280, 900),
        ("tablet", 768, 1024),
        ("phone", 390, 844),
        ("small phone", 360, 740),
    )
}
RUNS: dict[str, Callable[[], Run]] = {
    "broken": sample.broken_run,
    "clean": sample.clean_run,
    "hostile": lambda: made_hostile(sample.broken_run()),
}
DESKTOP, PHONE = SCREENS["light-desktop"], SCREENS["light-small phone"]
OF_A_SCREEN = ("overflow", "off_screen")
PAGE_CHECKS = ("contrast", "diagrams", "overlaps", "unreachable")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of each sample run, as a file."""
    folder = tmp_path_factory.mktemp("pages")
    written = {}
    for name, run in RUNS.items():
        written[name] = folder / f"{name}.html"
        written[name].write_text(page(*run()), encoding="utf-8")
    return written


async def check(tab: Tab, name: str, *arguments: Any) -> list[str]:
    """What one check of checks.js finds wrong with the page that is shown."""
    call = f"checks.{name}(...{json.dumps(arguments)})"
    found: list[str] = await tab.evaluate(f"(() => {{ {CHECKS}\nreturn {call}; }})()")
    return found


async def unfold(tab: Tab) -> None:
    """Opens everything, so that everything is checked."""
    await tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("run", RUNS)
async def test_a_page(
    tab: Tab, pages: dict[str, Path], photographs: Path, run: str, screen: str
) -> None:
    """Nothing is wider than the screen, every figure is on it, no text is hard to read, every diagram is seen with its
    labels apart from each other, everything can be reached; the browser has nothing to complain of and makes no request."""
    shown = SCREENS[screen]
    await tab.open(pages[run], shown)
    await tab.photograph(photographs / f"{run}-{screen}.png")
    for name in OF_A_SCREEN:
        assert await check(tab, name, shown.width_px) == [], name
    await unfold(tab)
    for name in OF_A_SCREEN:
        assert await check(tab, name, shown.width_px) == [], name
    for name in PAGE_CHECKS:
        assert await check(tab, name) == [], name
    pictures = await tab.evaluate("document.querySelectorAll('svg.diagram').length")
    assert pictures == len(RUNS[run]()[0]["scenarios"])
    assert tab.complaints() == []
    assert tab.requests() == []


async def test_hostile_text_builds_the_same_page(tab: Tab, pages: dict[str, Path]) -> None:
    """The browser makes the same elements of the page with hostile text as of the one without."""
    shape = (
        "[...document.querySelectorAll('*')].filter(node => !node.closest('title')"
        " && node.tagName !== 'title').map(node => node.tagName).join(' ')"
    )
    await tab.open(pages["broken"], DESKTOP)
    expected = await tab.evaluate(shape)
    await tab.open(pages["hostile"], DESKTOP)
    assert await tab.evaluate(shape) == expected


async def test_what_went_wrong_is_seen_without_scrolling(tab: Tab, pages: dict[str, Path]) -> None:
    """On a phone, too, the first screen says how bad it is and which promise was broken where."""
    for screen in (DESKTOP, PHONE):
        await tab.open(pages["broken"], screen)
        seen = await tab.evaluate(
            "[...document.querySelectorAll('h1, .wrong li')].filter(node =>"
            " node.getBoundingClientRect().bottom < innerHeight).map(node => node.innerText).join('\\n')"
        )
        assert "1 of 66 scenarios broke a promise" in seen
        assert "The money moved twice; it should have moved once." in seen


async def test_a_link_of_the_table_opens_its_scenario(tab: Tab, pages: dict[str, Path]) -> None:
    """Also one that is folded: the diagram is then on the screen."""
    await tab.open(pages["clean"], DESKTOP)
    opened = await tab.evaluate(
        """new Promise(done => {
            const link = document.querySelectorAll("a.figure")[20];
            const fold = document.querySelector(link.getAttribute("href")).closest("details");
            const before = fold.open;
            addEventListener("hashchange", () => requestAnimationFrame(() => done(
                [before, fold.open, fold.getBoundingClientRect().top < innerHeight])));
            link.click();
        })"""
    )
    assert opened == [False, True, True]


async def test_the_filter_leaves_what_was_looked_for(tab: Tab, pages: dict[str, Path]) -> None:
    """By any word of a scenario's name, title or verdict; nothing typed shows all again."""
    await tab.open(pages["broken"], DESKTOP)
    counted = """(text => {
        const input = document.getElementById("filter");
        input.value = text;
        input.dispatchEvent(new Event("input"));
        return document.querySelectorAll("details.scenario:not([hidden])").length;
    })"""
    assert await tab.evaluate(counted + "('silence REQUEST_LOST')") == 3
    assert await tab.evaluate(counted + "('unknown')") == 1
    assert await tab.evaluate(counted + "('no such thing')") == 0
    assert await tab.evaluate(counted + "('')") == 66


# One page for each check, on which it must say no.
OFFENCES = {
    "overflow": "<p style='width: 900px'>wide</p>",
    "contrast": "<p style='color: #999; background: #fff'>pale</p>",
    "diagrams": "<div style='display: none'><svg class=diagram width=300 height=300></svg></div>",
    "off_screen": "<div style='overflow: auto; width: 300px'><div style='width: 900px'>"
    "<a class=figure href='#x' style='margin-left: 500px; display: inline-block; min-width: 60px; min-height: 30px'>once</a></div></div>",
    "overlaps": "<svg class=diagram width=300 height=300><text y=20>one</text>"
    "<text y=22 x=5>two</text></svg>",
    "unreachable": "<pre style='overflow: auto; width: 90px'>0123456789012345678901234567</pre>",
}


@pytest.mark.parametrize("name", OFFENCES)
async def test_a_check_can_say_no(tab: Tab, tmp_path: Path, name: str) -> None:
    """The negative control: a planted offence is found by its own check, and by no other one."""
    path = tmp_path / "offence.html"
    path.write_text(
        "<!DOCTYPE html><meta name=viewport content='width=device-width'><title>x</title>"
        + OFFENCES[name],
        encoding="utf-8",
    )
    await tab.open(path, PHONE)
    found = {
        check_name
        for check_name in OFFENCES
        if await check(tab, check_name, *([PHONE.width_px] if check_name in OF_A_SCREEN else []))
    }
    assert found == {name}


@pytest.mark.parametrize(
    ("offence", "complaint"),
    [
        ("<script>console.error('boom')</script>", "boom"),
        ("<script>null.x</script>", "exception"),
        ("<script>throw new Error('late')</script>", "exception"),
    ],
)
async def test_a_complaint_is_heard(tab: Tab, tmp_path: Path, offence: str, complaint: str) -> None:
    """The negative control: what the browser's console would show is known."""
    path = tmp_path / "offence.html"
    path.write_text(f"<!DOCTYPE html><title>x</title>{offence}", encoding="utf-8")
    await tab.open(path, DESKTOP)
    assert complaint in "".join(tab.complaints())


async def test_a_request_is_noticed(tab: Tab, tmp_path: Path) -> None:
    """The negative control: a page that asks for another file is caught, whether it gets it or not."""
    path = tmp_path / "offence.html"
    path.write_text(
        "<!DOCTYPE html><title>x</title><img src='missing.png' alt=''>", encoding="utf-8"
    )
    await tab.open(path, DESKTOP)
    assert [url.rpartition("/")[2] for url in tab.requests()] == ["missing.png"]


async def test_the_policy_stops_a_script_that_was_slipped_in(tab: Tab, tmp_path: Path) -> None:
    """Were a text ever to become markup, its script would not run."""
    path = tmp_path / "slipped.html"
    slipped = page(*sample.broken_run()).replace("<main>", "<main><script>slipped = 1</script>")
    path.write_text(slipped, encoding="utf-8")
    await tab.open(path, DESKTOP)
    assert await tab.evaluate("typeof slipped") == "undefined"
    assert "Content Security Policy" in "".join(tab.complaints())
