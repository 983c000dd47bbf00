"""HTML and SVG as trees of elements, so that text can never become markup.

Guarantee: text and attributes are escaped by the serialiser, and nothing unprintable is left in them; there is no way to
put a string of markup in.
"""

# Only built and written here, never parsed.
import xml.etree.ElementTree as ET

from report.printable import printable

Child = ET.Element | str | None
Attribute = str | int | float | None


def element(tag: str, *children: Child, **attributes: Attribute) -> ET.Element:
    """An element; `class_` is the attribute class, `aria_label` is aria-label, None is left out."""
    made = ET.Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): _value(value)
            for name, value in attributes.items()
            if value is not None
        },
    )
    for child in children:
        if isinstance(child, str):
            _append_text(made, printable(child))
        elif child is not None:
            made.append(child)
    return made


def program(tag: str, source: str) -> ET.Element:
    """A style or script element; its source is the project's own, never recorded text."""
    made = ET.Element(tag)
    made.text = source
    return made


def html(root: ET.Element) -> str:
    """A whole HTML document."""
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def xml(root: ET.Element) -> str:
    """Well-formed XML without a declaration."""
    return ET.tostring(root, encoding="unicode", method="xml")


def _append_text(parent: ET.Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def _value(value: str | int | float) -> str:
    return printable(value) if isinstance(value, str) else f"{value:g}"
