"""The sequence diagram of one scenario, as SVG for the page and as plain text for consoles and failing tests.

Guarantee: both are drawn from the same figure, so they say the same; recorded text in them is text and nothing else.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from report import drawing, plain_text
from report.history import Event
from report.markup import program, xml
from report.sequence import condensed, figure

__all__ = ["condensed", "style", "svg", "svg_element", "text"]


def svg(events: Sequence[Event], title: str, effects_max: float | None = None) -> str:
    """A picture that stands alone: its style comes with it, light and dark."""
    root = svg_element(events, title, "diagram", effects_max)
    root.insert(0, program("style", style()))
    return xml(root)


def svg_element(
    events: Sequence[Event], title: str, identity: str, effects_max: float | None = None
) -> ET.Element:
    """The picture as an element of a page that has `style()`; `identity` is unique in that page."""
    return drawing.draw(figure(events, effects_max), title, text(events, effects_max), identity)


def text(events: Sequence[Event], effects_max: float | None = None) -> str:
    """The diagram as lines of plain text."""
    return plain_text.draw(figure(events, effects_max))


def style() -> str:
    """The classes that the picture uses."""
    return Path(__file__).with_name("diagram.css").read_text(encoding="utf-8")
