"""Text that others wrote, made fit to be shown.

Guarantee: the result holds printable characters, spaces and line breaks only: nothing that XML forbids, that cannot be
encoded, or that turns the direction of the text around it.
"""


def printable(text: str) -> str:
    """Whatever cannot be seen is written as its escape: a NUL becomes the four characters \\x00."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else _escaped(character)
        for character in text
    )


def shortened(text: str, length_max: int) -> str:
    """One line of at most `length_max` characters; what was left out is an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= length_max else line[: max(length_max - 1, 0)] + "…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
