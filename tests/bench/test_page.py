"""The README's performance section is what was measured."""

import copy
import json
from typing import Any
from xml.etree import ElementTree

from bench import chart, measurements, page
from bench.load import Load


def stored() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(page.FIGURES.read_text(encoding="utf-8"))
    return whole


def without_fair(whole: dict[str, Any]) -> dict[str, Any]:
    """The form that docs/bench.json had before the fair baselines existed."""
    older = copy.deepcopy(whole)
    for at in (older["figures"][f"charges at {each}"] for each in (1, 32, 128)):
        for name in [name for name in at if "fair" in name]:
            del at[name]
    return older


def with_fair(whole: dict[str, Any]) -> dict[str, Any]:
    """The form that a bench writes now, with figures that no machine has."""
    newer = copy.deepcopy(whole)
    speeds = {
        "charge": 60,
        "nothing": 50,
        "fair nothing": 80,
        "unprotected": 20,
        "fair unprotected": 30,
    }
    runs = {
        name: [Load(speed * 1000, 1.0, 0, 0, 1000 / speed, 60.0, 90.0)] * 5
        for name, speed in speeds.items()
    }
    for connections in (1, 32, 128):
        newer["figures"][f"charges at {connections}"] = measurements.charge_figures(runs)
    return newer


def test_the_section_is_unedited() -> None:
    """It is made of docs/bench.json, and nothing in it was written by hand."""
    whole = stored()
    assert page.section(whole) in page.README.read_text(encoding="utf-8")


def test_the_chart_is_unedited() -> None:
    """It is drawn from the same figures."""
    whole = stored()
    assert chart.svg(whole) == chart.PATH.read_text(encoding="utf-8")


def test_an_edited_figure_is_noticed() -> None:
    """The negative control: another figure is another section and another chart."""
    whole = stored()
    whole["figures"]["charges at 32"]["charge"]["per_second"] += 1000
    assert page.section(whole) not in page.README.read_text(encoding="utf-8")
    assert chart.svg(whole) != chart.PATH.read_text(encoding="utf-8")


def test_the_chart_has_a_title_and_all_bars() -> None:
    """It is well-formed, and every measured contender has a bar at every number of connections."""
    for whole, contenders in ((without_fair(stored()), 3), (with_fair(stored()), 5)):
        root = ElementTree.fromstring(chart.svg(whole))  # noqa: S314 - our own text
        names = [element.tag.rpartition("}")[2] for element in root.iter()]
        assert names.count("rect") == contenders + 3 * contenders
        assert "title" in names


def test_fair_figures_stand_beside_the_typical_ones() -> None:
    """Each baseline with its own ratio, in one row."""
    row = (
        "| 32 | 60,000/s | 50,000/s (1.20) | 80,000/s (0.75) | 20,000/s (3.00) | 30,000/s (2.00) "
        "| 0.33 | 0.50 |"
    )
    assert row in page.section(with_fair(stored()))
    assert page.NOT_MEASURED not in page.section(with_fair(stored()))


def test_figures_that_are_missing_are_not_invented() -> None:
    """Figures from before the fair baselines existed show "not measured" in three cells of each row."""
    section = page.section(without_fair(stored()))
    assert section.count(page.NOT_MEASURED) == 3 * 3
    typical = stored()["figures"]["charges at 32"]["unprotected"]["per_second"]
    assert f"{typical:,.0f}/s" in section


def test_the_difference_is_explained() -> None:
    """One sentence says what a typical ratio includes and a fair one does not."""
    (sentence,) = [each for each in page.section(stored()).split(". ") if "*Typical*" in each]
    assert "*fair*" in sentence
    assert "direct route and garbage-collector tuning" in sentence


def test_a_whole_bench_has_many_rounds() -> None:
    """Medians of at least five."""
    assert stored()["rounds"] >= 5
