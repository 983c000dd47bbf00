"""The browser tests can say no: what a page does wrong is seen."""

from pathlib import Path

import pytest

from tests.browser.chromium import Screen, Tab

SCREEN = Screen("light", 800, 600)
WRONG = {
    "an error in a script": "<script>throw new Error('wrong')</script>",
    "an error on the console": "<script>console.error('wrong')</script>",
    "a violation of the page's policy": (
        '<meta http-equiv="Content-Security-Policy" content="script-src \'none\'">'
        "<script>document.title = 'x'</script>"
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_complaint_is_heard(tab: Tab, tmp_path: Path, wrong: str) -> None:
    """An error of the script, of the console or of the policy is among the complaints."""
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><title>x</title>{WRONG[wrong]}", encoding="utf-8")
    await tab.open(path, SCREEN)
    assert len(tab.complaints()) == 1


async def test_a_request_is_noted(tab: Tab, tmp_path: Path) -> None:
    """A page that asks for something beyond itself is caught, whether or not it gets it."""
    path = tmp_path / "page.html"
    path.write_text('<!doctype html><title>x</title><img src="other.png">', encoding="utf-8")
    await tab.open(path, SCREEN)
    assert tab.requests() == [(tmp_path / "other.png").as_uri()]


async def test_a_clean_page_after_a_wrong_one(tab: Tab, tmp_path: Path) -> None:
    """What was heard of one page is not said of the next."""
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><title>x</title>fine", encoding="utf-8")
    await tab.open(path, SCREEN)
    assert (tab.complaints(), tab.requests()) == ([], [])
