"""axe-core looks at the report, as a person with a screen reader or with weak eyes would meet it."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe

from report.page import page
from tests.browser.chromium import Screen, Tab
from tests.report import sample

SCREENS = {
    "light": Screen("light", 1280, 900),
    "dark": Screen("dark", 1280, 900),
    "light phone": Screen("light", 390, 844),
    "dark phone": Screen("dark", 390, 844),
}


async def violations(tab: Tab) -> list[str]:
    """Each rule that the page breaks, and where."""
    # The page's own policy forbids scripts from elsewhere; axe comes in past it, by the browser's debugger.
    found = await Axe().run(tab.page)
    return [f"{rule['id']}: {rule['nodes'][0]['target']}" for rule in found.response["violations"]]


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_report(tab: Tab, tmp_path: Path, screen: str) -> None:
    """No violation, everything unfolded."""
    path = tmp_path / "report.html"
    path.write_text(page(*sample.broken_run()), encoding="utf-8")
    await tab.open(path, SCREENS[screen])
    await tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert await violations(tab) == []


async def test_a_wrong_page_is_found(tab: Tab, tmp_path: Path) -> None:
    """The negative control: a picture without a text, on a page without a language."""
    path = tmp_path / "wrong.html"
    path.write_text(
        '<!doctype html><title>x</title><main><img src="data:,"></main>', encoding="utf-8"
    )
    await tab.open(path, SCREENS["light"])
    found = " ".join(await violations(tab))
    assert "image-alt" in found
    assert "html-has-lang" in found
