"""The README's performance section is what was measured."""

import json
from xml.etree import ElementTree

from bench import chart, page


def test_the_section_is_unedited() -> None:
    """It is made of docs/bench.json, and nothing in it was written by hand."""
    whole = json.loads(page.FIGURES.read_text(encoding="utf-8"))
    assert page.section(whole) in page.README.read_text(encoding="utf-8")


def test_the_chart_is_unedited() -> None:
    """It is drawn from the same figures."""
    whole = json.loads(page.FIGURES.read_text(encoding="utf-8"))
    assert chart.svg(whole) == chart.PATH.read_text(encoding="utf-8")


def test_an_edited_figure_is_noticed() -> None:
    """The negative control: another figure is another section and another chart."""
    whole = json.loads(page.FIGURES.read_text(encoding="utf-8"))
    whole["figures"]["charges at 32"]["charge"]["per_second"] += 1000
    assert page.section(whole) not in page.README.read_text(encoding="utf-8")
    assert chart.svg(whole) != chart.PATH.read_text(encoding="utf-8")


def test_the_chart_is_a_picture_with_words() -> None:
    """Well-formed, with a title and a bar and a number for each contender and number of connections."""
    root = ElementTree.parse(chart.PATH).getroot()  # noqa: S314 - our own file
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("rect") == 3 + 9
    assert "title" in names


def test_a_whole_bench_has_many_rounds() -> None:
    """Medians of at least five."""
    assert json.loads(page.FIGURES.read_text(encoding="utf-8"))["rounds"] >= 5
