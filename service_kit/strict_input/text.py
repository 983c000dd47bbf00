"""Text that people read, such as names of goods and messages.

Guarantee: each character is visible or an ordinary space, and at least one is visible. What hides, reorders or breaks text
(controls, bidirectional overrides and isolates, zero-width characters, line separators, lone surrogates, private use) is
refused and never removed, so the caller learns of it.
"""

import unicodedata

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# Unicode calls these letters or marks, but they are blank or have no width: the combining grapheme joiner, Hangul fillers,
# Khmer inherent vowels, Mongolian selectors, the blank Braille pattern.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Space separators (no-break, ideographic) are ordinary text in French or Japanese; str.isprintable refuses them.
_SPACES = "Zs"


def _shown(text: str) -> str:
    if not text.isprintable():
        for character in text:
            if not character.isprintable() and unicodedata.category(character) != _SPACES:
                raise PydanticCustomError(
                    "text_hidden",
                    "The character U+{code} is not allowed in text",
                    {"code": f"{ord(character):04X}"},
                )
    if not text.isascii() and not _BLANK.isdisjoint(text):
        raise PydanticCustomError(
            "text_hidden", "Characters that are always blank are not allowed in text"
        )
    if text.isspace():
        raise PydanticCustomError("text_blank", "Text needs a visible character")
    return text


# For the field of a model that a service reads. A published type can say less: a pattern of JSON Schema cannot name them all.
SHOWN = AfterValidator(_shown)
