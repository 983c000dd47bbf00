"""The figures as a picture: throughput of the charge and its baselines at 1, 32 and 128 connections.

Guarantee: drawn from docs/bench.json alone, and a baseline without figures has no bar; readable on a light and on a dark page.
"""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

PATH = Path(__file__).resolve().parent.parent / "docs" / "bench.svg"
# The colours differ in lightness too, for readers who do not see the hue.
_COLOURS = {
    "nothing": "#9aa5b1",
    "fair nothing": "#64748b",
    "unprotected": "#c2410c",
    "fair unprotected": "#7c2d12",
    "charge": "#1d4ed8",
}
_TITLES = {
    "nothing": "does nothing",
    "fair nothing": "does nothing, fair",
    "unprotected": "unprotected",
    "fair unprotected": "unprotected, fair",
    "charge": "exactly once",
}
_HEIGHT, _LEFT, _TOP, _BAR, _GAP = 300, 70, 40, 50, 40


def svg(whole: dict[str, Any]) -> str:
    """One group of bars for each number of connections."""
    groups = {c: whole["figures"][f"charges at {c}"] for c in (1, 32, 128)}
    names = [name for name in _COLOURS if all(name in each for each in groups.values())]
    top = max(each[name]["per_second"] for each in groups.values() for name in names)
    width = _LEFT + len(groups) * (len(names) * _BAR + _GAP)
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {_HEIGHT}",
            "role": "img",
        },
    )
    SubElement(picture, "title").text = "Requests per second at 1, 32 and 128 connections"
    style = "text{font:13px system-ui,sans-serif;fill:#334155}@media(prefers-color-scheme:dark){text{fill:#cbd5e1}}"
    SubElement(picture, "style").text = style
    for place, name in enumerate(names):
        x = _LEFT + place * 160
        _box(picture, x, 12, 12, 12, _COLOURS[name])
        _text(picture, x + 18, 23, _TITLES[name], "start")
    base = _HEIGHT - 40
    for group, (connections, figures) in enumerate(groups.items()):
        left = _LEFT + group * (len(names) * _BAR + _GAP)
        for place, name in enumerate(names):
            speed = figures[name]["per_second"]
            height = (base - _TOP - 16) * speed / top
            x = left + place * _BAR
            _box(picture, x + 2, base - height, _BAR - 4, height, _COLOURS[name])
            _text(picture, x + _BAR / 2, base - height - 5, f"{speed:,.0f}", "middle")
        _text(
            picture,
            left + len(names) / 2 * _BAR,
            base + 20,
            f"{connections} connections".replace("1 connections", "1 connection"),
            "middle",
        )
    _text(picture, 12, base, "per s", "start")
    return tostring(picture, encoding="unicode") + "\n"


def _box(parent: Element, x: float, y: float, width: float, height: float, colour: str) -> None:
    places = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    SubElement(parent, "rect", {**places, "rx": "2", "fill": colour})


def _text(parent: Element, x: float, y: float, text: str, anchor: str) -> None:
    SubElement(
        parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    ).text = text
