"""The player of the report's diagrams: one row of time after the other, back and forth, and the whole without it."""

from pathlib import Path

from report.page import page
from tests.browser.chromium import Screen, Tab
from tests.report import sample

SCREEN = Screen("light", 1280, 900)


async def test_rows_come_one_after_the_other(tab: Tab, tmp_path: Path) -> None:
    """All is shown at first; back hides the last row, step shows it again, play goes from the first row to the last."""
    path = tmp_path / "report.html"
    path.write_text(page(*sample.broken_run()), encoding="utf-8")
    await tab.open(path, SCREEN)
    await tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    figure = tab.page.locator("figure.playable").first
    rows = await figure.locator("text.clock[data-row]").count()
    hidden, where = figure.locator(".later"), figure.locator("output")
    assert await hidden.count() == 0
    await figure.get_by_label("One row back").click()
    assert await hidden.count() > 0
    assert await where.inner_text() == f"{rows - 1} of {rows}"
    await figure.get_by_label("One row on").click()
    assert await hidden.count() == 0
    assert await figure.get_by_label("One row on").is_disabled()
    await figure.get_by_label("Speed").select_option("4")
    await figure.get_by_label("Play", exact=True).click()
    await figure.locator(f"output:text-is('1 of {rows}')").wait_for()
    await figure.locator(f"output:text-is('{rows} of {rows}')").wait_for()
    assert await hidden.count() == 0
    assert tab.complaints() == []


async def test_every_part_of_a_diagram_is_in_a_row(tab: Tab, tmp_path: Path) -> None:
    """At the first row nothing that happened later is seen: only the heads and the lanes are in no row."""
    path = tmp_path / "report.html"
    path.write_text(page(*sample.broken_run()), encoding="utf-8")
    await tab.open(path, SCREEN)
    loose = await tab.evaluate(
        "[...document.querySelectorAll('svg.diagram line, svg.diagram path, svg.diagram rect, svg.diagram polygon')]"
        ".filter(part => !part.closest('[data-row]') && !part.classList.contains('life')).length"
    )
    assert loose == 0
