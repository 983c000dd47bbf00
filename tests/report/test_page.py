"""The page says first what went wrong, needs nothing else, and lets no text become markup."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from chaos.promises.verdict import Verdict
from order_service.wire import Delivery
from report.page import page
from tests.report import sample
from tests.report.sample import Run, the_whole

# Elements that a browser would fetch something for, and attributes that run something or lead elsewhere.
FETCHING = {"img", "iframe", "object", "embed", "audio", "video", "source", "base", "form", "image"}


class Elements(HTMLParser):
    """All start tags of a page with their attributes, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def reaches_out(markup: str) -> list[str]:
    """Whatever in a page could ask the network for something, or run."""
    found = []
    for tag, attributes in Elements(markup).elements:
        if tag in FETCHING:
            found.append(tag)
        for name, value in attributes.items():
            inside = (value or "").startswith(("#", "data:"))
            if name in ("src", "href", "action", "srcset", "poster") and not inside:
                found.append(f"{tag} {name}={value}")
            if name.startswith("on") or name == "style":
                found.append(f"{tag} {name}")
    return found + re.findall(r"@import|url\(", markup)


def test_the_page_needs_nothing_else(broken_page: str, hostile: Run) -> None:
    """No reference leads out of it."""
    assert reaches_out(broken_page) == []
    assert [found for found in reaches_out(page(*hostile)) if "url(" not in found] == []


def test_a_reference_is_found() -> None:
    """The negative control: a page that reaches out is reported."""
    for markup in (
        '<script src="https://example.invalid/x.js"></script>',
        '<link rel="stylesheet" href="style.css">',
        '<img alt="">',
        '<p onclick="x()">',
        "<style>@import 'x.css';</style>",
        "<style>p { background: url(x.png) }</style>",
    ):
        assert reaches_out(markup), markup


def test_only_its_own_style_and_script_may_run(broken_page: str) -> None:
    """The policy names both by their hashes and allows nothing else."""
    markup = broken_page
    policy = next(
        attributes["content"] or ""
        for attributes in Elements(markup).of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        sources = re.findall(rf"<{tag}>(.*?)</{tag}>", markup, re.DOTALL)
        assert len(sources) == 1
        digest = base64.b64encode(hashlib.sha256(sources[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_text_is_not_markup(broken: Run, hostile: Run) -> None:
    """With hostile text everywhere the page has the same elements with the same attributes, tooltips aside."""

    def shape(run: Run) -> list[tuple[str, list[str]]]:
        elements = Elements(page(*run)).elements
        return [(tag, sorted(names)) for tag, names in elements if tag != "title"]

    poisoned = page(*hostile)
    poisoned.encode()
    assert "<script>alert" not in poisoned
    assert "\x00" not in poisoned
    assert shape(broken) == shape(hostile)


def test_what_went_wrong_stands_first(broken_page: str) -> None:
    """Verdict, sentence and the failing scenario come before the table and before what passed."""
    text = "".join(Elements(broken_page).texts)
    order = [
        "1 of 66 scenarios broke a promise, and 1 could not be judged",
        "What went wrong",
        "The money moved twice; it should have moved once.",
        "No verdict: the fault has to be seen to strike, and this was not seen",
        "What the caller saw, and what happened",
        "Broken promises (1 scenario)",
        "Without a verdict (1 scenario)",
        "Promises kept (64 scenarios)",
    ]
    assert [text.find(part) for part in order] == sorted(text.find(part) for part in order)
    assert -1 not in [text.find(part) for part in order]


def test_what_is_counted_is_said(clean: Run) -> None:
    """The run as a whole is judged like a scenario and is none: headline, counts and groups agree."""
    clean[0]["scenarios"].append(the_whole("pass"))
    text = "".join(Elements(page(*clean)).texts)
    assert "All 66 scenarios kept their promises, and so did the run as a whole" in text
    assert "66 scenarios: 66 pass, 0 fail, 0 unknown; the run as a whole: pass" in text
    assert "Promises kept (66 scenarios and the run as a whole)" in text
    assert "67" not in text


def test_a_clean_page_reports_nothing_wrong(clean_page: str) -> None:
    """The negative control of the page itself: nothing is said to be wrong."""
    text = "".join(Elements(clean_page).texts)
    assert "All 66 scenarios kept their promises" in text
    assert "What went wrong" not in text
    assert "Broken promises" not in text


def test_failures_are_open_and_passes_closed(broken_page: str) -> None:
    """A reader need not open what is wrong, and need not scroll past what is right."""
    for attributes in Elements(broken_page).of("details"):
        classes = (attributes.get("class") or "").split()
        if "scenario" in classes:
            assert ("open" in attributes) == ("pass" not in classes)


def test_every_scenario_has_its_diagram_and_its_command(broken: Run) -> None:
    """Each is drawn, can be repeated, and is reached by a link from the table."""
    elements = Elements(page(*broken))
    identities = [attributes.get("id") for _, attributes in elements.elements]
    pictures = elements.of("svg")
    assert len(pictures) == len(broken[0]["scenarios"])
    for picture in pictures:
        assert picture["role"] == "img"
        assert picture["aria-labelledby"] in identities
    named = [identity for identity in identities if identity]
    assert len(named) == len(set(named))
    for link in elements.of("a"):
        assert (link["href"] or "").removeprefix("#") in identities
    texts = "".join(elements.texts)
    for scenario in broken[0]["scenarios"]:
        assert scenario["reproduce"] in texts


def test_the_document_is_accessible(broken_page: str) -> None:
    """Language, title, one main heading; every header cell says what it heads."""
    elements = Elements(broken_page)
    assert elements.of("html")[0]["lang"] == "en"
    assert len(elements.of("title")) > 0
    assert len(elements.of("h1")) == 1
    assert len(elements.of("main")) == 1
    assert elements.of("th")
    assert all(
        attributes.get("scope") in ("col", "row", "rowgroup") for attributes in elements.of("th")
    )
    labelled = {label.get("for") for label in elements.of("label")}
    assert all(field.get("id") in labelled for field in elements.of("input"))


def test_one_cell_for_what_looks_the_same(clean: Run) -> None:
    """Where the caller saw the same in all four, the table has one cell for them; else it has one each."""
    cells = Elements(page(*clean)).of("td")
    assert [cell.get("rowspan") for cell in cells if cell.get("rowspan")] == ["4", "4", "4"]
    for scenario in clean[0]["scenarios"]:
        if scenario["situation"] == "response_lost" and scenario["family"] == "reset":
            scenario["caller_saw"] = "something else"
    cells = Elements(page(*clean)).of("td")
    assert [cell.get("rowspan") for cell in cells if cell.get("rowspan")] == ["4", "4"]


def test_the_table_shows_what_differs(broken_page: str) -> None:
    """A cell that is not as computed says so, on which connection; harm that is as computed is called by its name."""
    markup = broken_page
    text = "".join(Elements(markup).texts)
    assert "2✗ has to be 1warm" in text
    assert "1fresh" in text
    assert "2paid twice" in text
    assert "0lost" in text
    classes = [attributes.get("class") for attributes in Elements(markup).of("a")]
    assert classes.count("figure fail") == 1
    assert classes.count("figure unknown") == 1
    # Two connections that agree share one figure.
    assert classes.count("figure harm") == 3 * 4


def test_a_figure_has_its_heading_with_it(clean_page: str) -> None:
    """On a phone there is no row of headings: each cell says what it shows, and the roles of a table stay."""
    elements = Elements(clean_page)
    cells = elements.of("td")
    assert cells
    for cell in cells:
        assert cell.get("data-label")
        assert cell.get("role") == "cell"
    assert {row.get("role") for row in elements.of("tr")} == {"row"}


def test_a_clean_table_has_no_offence(clean_page: str) -> None:
    """The negative control: nothing in it is marked as differing."""
    classes = [attributes.get("class") for attributes in Elements(clean_page).of("a")]
    assert {"figure pass", "figure harm"} == set(classes)
    assert "✗ has to be" not in "".join(Elements(clean_page).texts)


def test_a_promise_that_could_not_be_judged_is_not_kept() -> None:
    """It stands with the broken ones, and is called unknown."""
    scenario, history = sample.delayed_original()
    scenario["promises"][2]["kept"] = None
    text = "".join(Elements(page(*sample.run("pass", [(scenario, history)]))).texts)
    first, kept = text.split("Promises that were kept")
    assert "Promises that were not kept" in first
    assert "all answers to a key are equal unknown · safety" in first
    assert "all answers to a key are equal" not in kept


def test_a_promise_of_several_orders_is_one_line() -> None:
    """Kept by all of them alike; what was found of one that broke it is a line of its own."""
    scenario, history = sample.delayed_original()
    kept = scenario["promises"][0]
    broken = {**kept, "kept": False, "detail": "the later order was lost"}
    scenario["promises"] = [kept, dict(kept), broken]
    text = "".join(Elements(page(*sample.run("fail", [(scenario, history)]))).texts)
    assert text.count(f"{kept['claim']} kept · {kept['kind']} · of 2 orders") == 1
    assert text.count(f"{kept['claim']} broken · {kept['kind']}") == 1


def test_a_cell_with_the_right_money_names_what_is_broken(clean: Run) -> None:
    """The figure alone would say that nothing is wrong."""
    scenario = next(s for s in clean[0]["scenarios"] if s["effects_measured"] == 1)
    scenario["verdict"] = "fail"
    scenario["promises"][2]["kept"] = False
    text = "".join(Elements(page(*clean)).texts)
    assert f"1as computed, ✗ {scenario['promises'][2]['name']}" in text


def test_a_cell_that_was_not_played_says_so() -> None:
    """One delivery of a situation was selected: the others are not empty by mistake."""
    one = sample.run("pass", [sample.cell("request_lost", "exactly_once", "reset", "fresh")])
    assert "".join(Elements(page(*one)).texts).count("not played") == 2


def test_money_that_was_not_read(broken: Run) -> None:
    """A scenario that could not be played to its end has no figure, and a page all the same."""
    for scenario in broken[0]["scenarios"]:
        scenario.update(verdict="unknown", effects_measured=None, witnesses=[], promises=[])
    for scenario in broken[0]["scenarios"][:5]:
        scenario["effects_expected"] = None
    broken[0]["verdict"] = "unknown"
    text = "".join(Elements(page(*broken)).texts)
    assert "?unknown" in text
    assert "not read" in text


def test_a_selection_of_scenarios_makes_a_page() -> None:
    """A run of one scenario, of none of the table's, and of none at all."""
    one = sample.run("pass", [sample.cell("request_lost", "exactly_once", "reset", "fresh")])
    assert "request never received" in page(*one)
    outside = page(*sample.run("pass", [sample.delayed_original()]))
    assert "<table" not in outside
    nothing = page(*sample.run("unknown", []))
    assert "0 scenarios" in nothing


def test_the_harness_may_hand_over_its_own_words(broken: Run) -> None:
    """Verdict and delivery as members of their enumerations make the same page as what result.json has."""
    expected = page(*broken)
    broken[0]["verdict"] = Verdict(broken[0]["verdict"])
    for scenario in broken[0]["scenarios"]:
        scenario["verdict"] = Verdict(scenario["verdict"])
        scenario["delivery"] = Delivery(scenario["delivery"])
    assert page(*broken) == expected


def test_a_long_history_is_cut_and_says_so() -> None:
    """A soak's diagram is not drawn to its end; the page says how much is missing and where it is."""
    scenario, history = sample.delayed_original()
    last = history[-1]
    long = history + [{**last, "at_ms": last["at_ms"] + n, "keys": n} for n in range(1000)]
    assert f"{len(long) - 300} more events are in history.jsonl." in page(
        *sample.run("pass", [(scenario, long)])
    )


def test_readings_that_say_the_same_are_told_once() -> None:
    """A wait reads again and again: the first and the last reading are drawn, and nothing else is left out."""
    scenario, history = sample.delayed_original()
    last = history[-1]
    long = history + [{**last, "at_ms": last["at_ms"] + n} for n in range(1000)]
    made = page(*sample.run("pass", [(scenario, long)]))
    assert "the same 1001 times" in made
    assert "more events are in history.jsonl" not in made
