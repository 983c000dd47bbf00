"""The badge: an SVG for a README.

Guarantee: it says the run's verdict in words, not by colour alone.
"""

from report.markup import element, xml

_WORDS = {"pass": "survive", "fail": "broken", "unknown": "unknown"}
_COLOURS = {"pass": "#12693f", "fail": "#b01f17", "unknown": "#7d4b00"}
_LABEL = "retries"
_HEIGHT_PX = 20
_LABEL_PX = 52
_WORD_PX = 64


def badge(verdict: str) -> str:
    """The whole file."""
    word = _WORDS[verdict]
    width = _LABEL_PX + _WORD_PX
    root = element(
        "svg",
        element("title", f"{_LABEL}: {word}"),
        element(
            "clipPath",
            element("rect", width=width, height=_HEIGHT_PX, rx=3),
            id="round",
        ),
        element(
            "g",
            element("rect", width=_LABEL_PX, height=_HEIGHT_PX, fill="#3b434d"),
            element("rect", x=_LABEL_PX, width=_WORD_PX, height=_HEIGHT_PX, fill=_COLOURS[verdict]),
            clip_path="url(#round)",
        ),
        element(
            "g",
            element("text", _LABEL, x=_LABEL_PX / 2, y=14),
            element("text", word, x=_LABEL_PX + _WORD_PX / 2, y=14),
            fill="#fff",
            text_anchor="middle",
            font_family="Verdana,DejaVu Sans,sans-serif",
            font_size=11,
        ),
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=_HEIGHT_PX,
        role="img",
        aria_label=f"{_LABEL}: {word}",
    )
    return xml(root) + "\n"
