"""A text shows all of its characters to its reader."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from service_kit.strict_input import SHOWN

TEXT: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(strict=True), SHOWN])

HIDDEN = {
    "C0": "a\nb",
    "NUL": "a\x00b",
    "DEL": "a\x7fb",
    "C1, next line": "a\x85b",
    "C1, last": "a\x9fb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "bidirectional override": "a\u202eb",
    "bidirectional embedding": "a\u202ab",
    "bidirectional isolate": "a\u2066b",
    "end of an isolate": "a\u2069b",
    "right-to-left mark": "a\u200fb",
    "zero-width space": "a\u200bb",
    "zero-width non-joiner": "a\u200cb",
    "zero-width joiner": "a\u200db",
    "word joiner": "a\u2060b",
    "byte order mark": "\ufeffab",
    "soft hyphen": "a\u00adb",
    "Arabic letter mark": "a\u061cb",
    "tag characters": "a\U000e0041b",
    "lone surrogate": "a\ud800b",
    "private use": "a\ue000b",
    "private use, plane 16": "a\U0010fffdb",
    "noncharacter": "a\uffffb",
    "unassigned": "a\u0378b",
    "Hangul filler": "a\u3164b",
    "combining grapheme joiner": "a\u034fb",
    "Braille blank": "a\u2800b",
    "only spaces": "   ",
    "only no-break spaces": "\u00a0\u00a0",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_hidden_characters(text: str) -> None:
    """Refused as they stand, and not taken out."""
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("a\u202eb", "text_hidden", "The character U+202E is not allowed in text"),
        ("a\nb", "text_hidden", "The character U+000A is not allowed in text"),
        ("a\u2800b", "text_hidden", "Characters that are always blank are not allowed in text"),
        ("   ", "text_blank", "Text needs a visible character"),
    ],
)
def test_what_is_wrong_is_said(text: str, kind: str, said: str) -> None:
    """The character is named, because it cannot be seen."""
    with pytest.raises(ValidationError) as refused:
        TEXT.validate_python(text)
    assert [(each["type"], each["msg"]) for each in refused.value.errors()] == [(kind, said)]


@pytest.mark.parametrize(
    "text",
    [
        "book",
        "a b",
        "Grüße, naïve café",
        "\u672c\u3000\u3068\u672c",
        "Prix\u00a0: 10\u202f€",
        "שלום",
        "مرحبا",
        "e\u0301",
        "🎉",
        "❤\ufe0f",
        "\U0001d518\U0001d52b",
        "~!@#$%^&*()<script>\"'\\",
    ],
)
def test_text_of_any_script(text: str) -> None:
    """Letters, marks, signs and spaces of all scripts are text, unchanged."""
    assert TEXT.validate_python(text) == text


@pytest.mark.parametrize("value", [7, True, None, b"book", ["book"]])
def test_what_is_no_text(value: object) -> None:
    """Nothing is made a text."""
    with pytest.raises(ValidationError):
        TEXT.validate_python(value)
