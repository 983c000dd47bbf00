"""The lab's page in a real Chromium: the tour by keyboard, two browsers, bad days, and every number as Postgres has it."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.browser.chromium import DEADLINE_MS, Screen, Tab
from tests.browser.test_accessibility import SCREENS, violations
from tests.browser.test_report import OF_A_SCREEN, check
from tests.lab.running import RunningLab, running

STEPS = 8
# Eight orders with restarts in between, or two labs one after the other: a bound for a machine that is very busy.
LONG_S = 600
TIMES = "\N{MULTIPLICATION SIGN}"
PAGE_BYTES_MAX = 150 * 1024
DESKTOP = Screen("light", 1320, 900)
COLUMNS = ("at_most_once", "at_least_once", "exactly_once")
# Far below what an eye takes for a delay, above what this machine needs when it is busy.
REACTION_MS_MAX = 150.0


@pytest.fixture(scope="module")
async def one_lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLab]:
    """A lab for all tests of this module that do not stop it."""
    async with running(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
async def lab(one_lab: RunningLab) -> AsyncIterator[RunningLab]:
    """The lab, quiet."""
    await one_lab.quiet()
    yield one_lab
    await one_lab.quiet()


@asynccontextmanager
async def opened(tab: Tab, lab: RunningLab, fragment: str = "") -> AsyncIterator[Tab]:
    """The page in a browser of its own, as another person has it."""
    assert tab.page.context.browser is not None
    context = await tab.page.context.browser.new_context(accept_downloads=True)
    try:
        page = await context.new_page()
        page.set_default_timeout(DEADLINE_MS)
        other = Tab(page)
        await show(other, DESKTOP)
        await page.goto(f"{lab.url}/{fragment}")
        await page.wait_for_selector("#protections button:nth-child(8)")
        yield other
    finally:
        await context.close()


async def show(tab: Tab, screen: Screen) -> None:
    """The same page on another screen."""
    await tab.page.set_viewport_size({"width": screen.width_px, "height": screen.height_px})
    await tab.page.emulate_media(color_scheme=screen.scheme)


async def compare(page: Page, lab: RunningLab) -> list[float]:
    """Every figure of the columns, of the table and of the harm, with Postgres; what each column has paid."""
    state = await lab.state(lambda s: s["round"] and s["round"]["over"])
    await page.wait_for_selector(f'body[data-over="{state["round"]["number"]}"]')
    effects = []
    for name in COLUMNS:
        column = state["round"]["columns"][name]
        moved = await lab.moved_cents(column["account"])
        effects.append(moved / state["price_cents"])
        shown = page.locator(f"[data-column={name}] .big")
        assert await shown.inner_text() == f"{effects[-1]:g} {TIMES}"
        assert await shown.get_attribute("data-cents") == f"{moved}"
        chips = await page.locator(f"[data-column={name}] .chip b").all_inner_texts()
        keys = [f"{a['key']}{' ?1' if a['retry'] else ''}" for a in column["attempts"]]
        assert chips == keys[-24:]
    for row in state["table"]:
        for name, cell in row["cells"].items():
            button = page.locator(f'[data-cell="{row["name"]} {name}"]')
            assert await button.count() == (cell is not None)
            if cell is not None:
                assert f"{cell['effects']:g}" in await button.inner_text()
    harm = await page.locator("#harm").inner_text()
    assert f"{state['harm']['taken_cents'] / 100:.2f} taken too much" in harm
    assert f"{state['harm']['lost']} order" in harm
    return effects


@pytest.mark.timeout(LONG_S)
async def test_the_tour_by_keyboard(tab: Tab, lab: RunningLab, photographs: Path) -> None:
    """Arrow keys, Enter, Tab and the space bar are enough; each step ends with its sentence and with Postgres' figures."""
    paid = []
    async with opened(tab, lab) as own:
        page = own.page
        await page.evaluate("() => sessionStorage.clear()")
        await page.reload()
        await page.wait_for_selector("#protections button:nth-child(8)")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowLeft")
        for step in range(STEPS):
            where = await page.locator("#tour-where").inner_text()
            assert where.startswith(f"step {step + 1} of {STEPS}, about ")
            await _take_step(page, lab)
            await page.wait_for_selector(f'#tour[data-done="{step}"]')
            paid.append(await compare(page, lab))
            if step in (1, 5, 7):
                await own.photograph(photographs / f"lab-tour-{step + 1}.png")
            if step == 5:
                await _picture_for_the_readme(page, photographs)
            await page.keyboard.press("ArrowRight")
        assert (await page.locator("#tour-where").inner_text()).startswith("over")
        complaints = own.complaints()
    held = paid.pop(5)
    assert paid == [[1, 1, 1], [1, 2, 1], [0, 1, 1], [1, 2, 1], [0, 1, 1], paid[5], [1, 2, 2]]
    assert paid[5][1:] == [2, 1]
    assert held[0] == held[2] == 1
    assert held[1] >= 3
    assert complaints == []


async def _picture_for_the_readme(page: Page, photographs: Path) -> None:
    """The top of the page after the outage, light and dark: docs/lab-light.png and docs/lab-dark.png are copies."""
    await page.evaluate("() => scrollTo(0, 0)")
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)
        await page.screenshot(path=photographs / f"lab-{scheme}.png")


async def _take_step(page: Page, lab: RunningLab) -> None:
    """Presses the step's button, which has the focus, and guesses where a guess is asked for."""
    assert await page.evaluate("() => document.activeElement.id") == "tour-action"
    label = await page.locator("#tour-action").inner_text()
    if label.startswith("Hold"):
        await page.keyboard.down(" ")
        await lab.state(
            lambda s: s["cut"] and s["round"]["columns"]["at_least_once"]["effects"] >= 3
        )
        await page.keyboard.up(" ")
        return
    await page.keyboard.press("Enter")
    if "goes wrong" in label or "fault" in label:
        await page.wait_for_selector('#tour-after:has-text("Guess first")')
        # Nothing gives it away before the guess.
        assert await page.locator(".big").all_inner_texts() == [f"? {TIMES}"] * 3
        assert "taken" not in await page.locator("#harm").inner_text()
        saw = await page.locator("#saw").inner_text()
        assert saw == "ServerDisconnectedError: Server disconnected"
        while await page.evaluate("() => document.activeElement.dataset.guess") != "unknown":
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#happened:has-text('Right')")


@pytest.mark.parametrize("screen", SCREENS)
async def test_no_violation(tab: Tab, lab: RunningLab, photographs: Path, screen: str) -> None:
    """axe-core finds nothing, with messages held, after a fault, with a protection taken away, and in the diagram; nothing
    is wider than the screen."""
    shown = SCREENS[screen]
    async with opened(tab, lab) as own:
        page = own.page
        await show(own, shown)
        await lab.ordered("response_lost")
        await lab.do("plant", bug="no_unique_constraint")
        await lab.ordered("response_lost")
        await page.wait_for_selector("#planted:has-text('X1')")
        await page.evaluate("() => { document.getElementById('log-box').open = true }")
        await own.photograph(photographs / f"lab-planted-{screen.replace(' ', '-')}.png")
        assert await violations(own) == []
        for name in OF_A_SCREEN:
            assert await check(own, name, shown.width_px) == [], name
        await lab.do("step", on=True)
        await lab.do("order")
        await page.wait_for_selector("#together [data-action=lose]")
        await page.wait_for_selector(".dot.held")
        assert await own.evaluate(
            "[...document.querySelectorAll('.dot.held')].every(e => e.offsetWidth === e.offsetHeight)"
        )
        await own.photograph(photographs / f"lab-held-{screen.replace(' ', '-')}.png")
        assert await violations(own) == []
        await lab.do("heal")
        await page.locator('[data-cell="response_lost at_least_once"]').click()
        await page.wait_for_selector("dialog .player")
        assert await violations(own) == []
        assert own.complaints() == []


async def test_two_browsers_and_a_reload(tab: Tab, lab: RunningLab) -> None:
    """What one does the other sees; a page that is loaded again shows the same."""
    async with opened(tab, lab) as one, opened(tab, lab) as other:
        await one.page.locator("#tour-leave").click()
        await one.page.locator("input[value=response_lost]").check()
        before = (await lab.state())["round"]
        number = before["number"] + 1 if before else 1
        await one.page.locator("#order").click()
        for each in (one.page, other.page):
            await each.wait_for_selector(f'body[data-over="{number}"]')
        assert await compare(one.page, lab) == [1, 2, 1]
        assert await compare(other.page, lab) == [1, 2, 1]
        log = await one.page.locator("#log li").all_text_contents()
        await other.page.reload()
        assert await compare(other.page, lab) == [1, 2, 1]
        # The same lines, whether they were heard live or afterwards.
        assert (await other.page.locator("#log li").all_text_contents())[-len(log) :] == log
        await other.page.locator("#step").check()
        await one.page.wait_for_selector("#step:checked")


async def test_the_page_is_small_and_asks_nobody_else(tab: Tab, lab: RunningLab) -> None:
    """Below 150 KiB in all, everything from its own origin, and the browser has nothing to complain of."""
    sizes: dict[str, int] = {}

    async def note(route: Route) -> None:
        if route.request.url.endswith("/events"):
            await route.continue_()
            return
        response = await route.fetch()
        sizes[route.request.url] = len(await response.body())
        await route.fulfill(response=response)

    async with opened(tab, lab) as own:
        await own.page.route("**/*", note)
        await own.page.reload()
        await own.page.wait_for_selector("#protections button:nth-child(8)")
        assert own.complaints() == []
    assert sizes
    assert all(url.startswith(lab.url) for url in sizes)
    assert sum(sizes.values()) < PAGE_BYTES_MAX


async def test_a_click_is_seen_at_once(tab: Tab, lab: RunningLab) -> None:
    """From the click to the first change on the page, by the browser's own clock: the median of several orders."""
    async with opened(tab, lab) as own:
        await own.page.locator("#tour-leave").click()
        measured = []
        for _ in range(7):
            await own.page.wait_for_selector("#order:not(:disabled)")
            measured.append(await own.evaluate(_REACTION))
            await lab.quiet()
    assert statistics.median(measured) < REACTION_MS_MAX, measured


_REACTION = """new Promise(done => {
    const began = performance.now();
    new MutationObserver((_, seen) => { seen.disconnect(); done(performance.now() - began); })
        .observe(document.querySelector("main"), {subtree: true, childList: true, attributes: true, characterData: true});
    document.getElementById("order").click();
})"""


async def test_a_saved_file_replays_alone(tab: Tab, lab: RunningLab, tmp_path: Path) -> None:
    """In an empty browser without a network: its player shows one row after the other, and the whole at the end."""
    await lab.ordered("response_lost")
    async with opened(tab, lab) as own:
        async with own.page.expect_download() as downloading:
            await own.page.locator("#save").click()
        path = tmp_path / "saved.html"
        await (await downloading.value).save_as(path)
        await own.page.context.set_offline(True)
        await own.open(path, DESKTOP)
        figure = own.page.locator("figure.playable").last
        rows = await figure.locator("text.clock[data-row]").count()
        hidden = figure.locator(".later")
        await figure.get_by_label("Play", exact=True).click()
        await figure.locator(f"output:has-text('{rows} of {rows}')").wait_for()
        assert await hidden.count() == 0
        for row in range(rows - 1, 0, -1):
            await figure.get_by_label("One row back").click()
            assert await figure.locator("output").inner_text() == f"{row} of {rows}"
        assert await hidden.count() > rows / 2
        assert await violations(own) == []
        assert own.complaints() == []
        assert own.requests() == []


async def test_a_link_plays_again(tab: Tab, lab: RunningLab) -> None:
    """The plan behind the # is played when the page is opened; one that cannot be read says so in one sentence."""
    async with opened(tab, lab, "#*s1l;*r1l") as own:
        await own.page.wait_for_selector("body:not([data-over=''])")
        await lab.state(lambda s: s["plan"].endswith("*s1l;*r1l") and not s["busy"])
        assert await compare(own.page, lab) == [1, 2, 1]
    async with opened(tab, lab, "#utter%20nonsense") as own:
        await own.page.wait_for_selector("#notice:has-text('cannot be read')")


@pytest.mark.timeout(LONG_S)
async def test_the_server_is_started_again(tab: Tab, tmp_path: Path) -> None:
    """A page whose lab has ended says so, and says when another one runs in its place."""
    async with running(tmp_path / "first") as first:
        port = first.url.rpartition(":")[2]
        async with opened(tab, first) as own:
            await first.stop()
            await own.page.wait_for_selector("#gone:has-text('does not answer')")
            async with running(tmp_path / "second", port=port) as second:
                assert second.url == first.url
                await own.page.wait_for_selector("#gone:has-text('started again')")
                await own.page.locator("#gone button").click()
                await own.page.wait_for_selector("#protections button:nth-child(8)")
                await own.page.locator("#tour-leave").click()
                await own.page.locator("#order").click()
                await own.page.wait_for_selector("[data-column=exactly_once].safe")


async def test_pictures_a_second(tab: Tab, lab: RunningLab, record_property: Any) -> None:
    """The three wires move while answers are cut; how many pictures the browser draws is written down."""
    async with opened(tab, lab) as own:
        counting = asyncio.ensure_future(own.evaluate(_PICTURES))
        for _ in range(3):
            await lab.do("cut", on=True)
            await lab.state(lambda s: s["cut"])
        pictures = await counting
        await lab.do("cut", on=False)
        record_property("pictures_per_second", pictures)
        # A bound for a machine that is very busy; the figure itself is in the record.
        assert pictures > 3


_PICTURES = """new Promise(done => {
    const began = performance.now();
    let count = 0;
    const next = now => {
        count += 1;
        if (now - began < 3000) requestAnimationFrame(next);
        else done(count / ((now - began) / 1000));
    };
    requestAnimationFrame(next);
})"""
