"""What is broken in SQL: a condition, a lock, an order, a conflict clause, a comparison, a bound of a set.

Guarantee: each rule gives one change at a time, as a span of the text and what stands there instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutation.sql_words import Word, words

# A clause ends where one of these begins, at its own depth.
_ENDS = {
    "GROUP",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FOR",
    "RETURNING",
    "UNION",
    "WINDOW",
    "HAVING",
    "ON",
    "LEFT",
    "JOIN",
    "INNER",
    "CROSS",
    "WHERE",
    "SET",
    "LOOP",
    "THEN",
    ";",
}
_SWAPS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "LEAST": "greatest",
    "GREATEST": "least",
    "MIN": "max",
    "MAX": "min",
    "AND": "OR",
    "DESC": "ASC",
}


@dataclass(frozen=True)
class Change:
    """Characters `start` to `end` of the SQL become `text`."""

    rule: str
    start: int
    end: int
    text: str


def changes(sql: str) -> Iterator[Change]:
    """All that the rules find, each once."""
    all_words = words(sql)
    seen: set[tuple[int, int, str]] = set()
    for rule in (_conditions, _locks, _orders, _conflicts, _comparisons, _cases):
        for change in rule(sql, all_words):
            place = (change.start, change.end, change.text)
            if place not in seen:
                seen.add(place)
                yield change


def _end_of_clause(sql: str, all_words: list[Word], first: int) -> int:
    """The index of the word after the clause whose first word is `first`."""
    depth = all_words[first].depth
    for index in range(first, len(all_words)):
        word = all_words[index]
        if word.depth < depth:
            return index
        if word.depth == depth and word.upper in _ENDS and index > first:
            # `ON` of a join ends nothing here; `FOR` of `substring(x FOR 3)` lies deeper.
            return index
    return len(all_words)


def _conditions(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """Of WHERE: without one of its conditions, or altogether without; of a join's ON: without one of several."""
    for index, word in enumerate(all_words):
        join = word.upper == "ON" and all_words[index + 1 : index + 2] != []
        if word.upper not in ("WHERE", "HAVING") and not join:
            continue
        if join and all_words[index + 1].upper in ("CONFLICT", "COMMIT", "DELETE", "UPDATE"):
            continue
        first = index + 1
        if first >= len(all_words):
            continue
        last = _end_of_clause(sql, all_words, first)
        yield from _parts(sql, all_words[first:last], word if not join else None)


def _parts(sql: str, clause: list[Word], keyword: Word | None) -> Iterator[Change]:
    if not clause:
        return
    joints = _joints(clause)
    if keyword is None and not joints:
        # A join's only condition is what makes it a join.
        return
    starts = [clause[0].start, *(joint.end for joint in joints)]
    ends = [*(joint.start for joint in joints), clause[-1].end]
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        beside = {joint.upper for joint in joints[max(position - 1, 0) : position + 1]}
        # The condition stays in the text, because a parameter in it has its type from there.
        always = "AND false" if beside == {"OR"} else "OR true"
        text = sql[start:end]
        bare = text.strip()
        begin = start + len(text) - len(text.lstrip())
        yield Change("no condition", begin, begin + len(bare), f"({bare} {always})")


def _joints(clause: list[Word]) -> list[Word]:
    """The words AND and OR that join whole conditions of the clause."""
    found = []
    between = case = False
    for word in clause:
        between = between or word.upper == "BETWEEN"
        case = (case or word.upper == "CASE") and word.upper != "END"
        if word.depth == clause[0].depth and word.upper in ("AND", "OR") and not case:
            if not between:
                found.append(word)
            between = False
    return found


def _locks(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """Without FOR UPDATE and its like, without SKIP LOCKED, without an advisory lock, without LOCK TABLE."""
    uppers = [word.upper for word in all_words]
    for index, upper in enumerate(uppers):
        word = all_words[index]
        if upper == "FOR" and set(uppers[index + 1 : index + 2]) & {"UPDATE", "SHARE", "NO", "KEY"}:
            stop = index + 1
            while stop < len(uppers) and uppers[stop] in (
                *("NO", "KEY", "UPDATE", "SHARE", "SKIP", "LOCKED", "NOWAIT"),
            ):
                stop += 1
            yield Change("no lock", word.start, all_words[stop - 1].end, "")
            if uppers[stop - 2 : stop] == ["SKIP", "LOCKED"]:
                yield Change(
                    "waits for locks", all_words[stop - 2].start, all_words[stop - 1].end, ""
                )
        if upper.removeprefix("PG_CATALOG.").startswith(("PG_ADVISORY", "PG_TRY_ADVISORY")):
            closing = next(
                (
                    other
                    for other in all_words[index + 2 :]
                    if other.text == ")" and other.depth == word.depth
                ),
                None,
            )
            if closing is not None:
                # What was locked is still computed, because parameters have their types from there.
                arguments = sql[word.end : closing.end]
                unlocked = f"({arguments} IS NOT NULL)" if "_TRY_" in upper else arguments
                yield Change("no lock", word.start, closing.end, unlocked)
            if upper.endswith("_SHARED"):
                yield Change(
                    "another lock", word.start, word.end, word.text.removesuffix("_shared")
                )


def _orders(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """Without ORDER BY, and without LIMIT."""
    uppers = [word.upper for word in all_words]
    for index, upper in enumerate(uppers):
        word = all_words[index]
        if (
            (upper == "ORDER" and uppers[index + 1 : index + 2] == ["BY"])
            or upper == "LIMIT"
            or (upper == "PARTITION" and uppers[index + 1 : index + 2] == ["BY"])
        ):
            stop = index + 1
            while stop < len(all_words) and not (
                all_words[stop].depth < word.depth
                or (
                    all_words[stop].depth == word.depth
                    and uppers[stop] in {*_ENDS, "ROWS", "ORDER"} - {"ON"}
                )
            ):
                stop += 1
            rule = {"ORDER": "no order", "LIMIT": "no limit"}.get(upper, "no partition")
            end = all_words[stop - 1].end
            bound = upper == "LIMIT" and "$" in sql[word.start : end]
            text = f"{sql[word.start : end]}::bigint + 1000000" if bound else ""
            yield Change(rule, word.start, end, text)


def _conflicts(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """Without ON CONFLICT; DO UPDATE does nothing."""
    uppers = [word.upper for word in all_words]
    for index in range(len(uppers) - 1):
        if uppers[index : index + 2] != ["ON", "CONFLICT"]:
            continue
        stop = index + 2
        depth = all_words[index].depth
        do = index
        while stop < len(uppers) and not (
            all_words[stop].depth < depth or uppers[stop] in ("RETURNING", ";")
        ):
            if uppers[stop] == "DO":
                do = stop
            stop += 1
        yield Change("no conflict clause", all_words[index].start, all_words[stop - 1].end, "")
        if uppers[do + 1 : do + 2] == ["UPDATE"]:
            yield Change(
                "conflict does nothing",
                all_words[do].start,
                all_words[stop - 1].end,
                "DO NOTHING",
            )


def _comparisons(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """A bound moves by one, the smaller becomes the larger, `AND` becomes `OR`, the order is turned around."""
    between = False
    for index, word in enumerate(all_words):
        between = between or word.upper == "BETWEEN"
        if word.upper == "AND" and between:
            between = False
            continue
        if word.upper in _SWAPS and not _is_composite(all_words, index):
            yield Change(f"{word.upper} swapped", word.start, word.end, _SWAPS[word.upper])


def _is_composite(all_words: list[Word], index: int) -> bool:
    """An operator whose characters are two words here, as `->` and `@>`."""
    word = all_words[index]
    if word.text not in "<>":
        return False
    before = all_words[index - 1] if index else None
    after = all_words[index + 1] if index + 1 < len(all_words) else None
    return (before is not None and before.end == word.start and before.text in "-@<#>") or (
        after is not None and after.start == word.end and after.text in "-@<>#"
    )


def _cases(sql: str, all_words: list[Word]) -> Iterator[Change]:
    """Without one branch of several in CASE."""
    uppers = [word.upper for word in all_words]
    for index, upper in enumerate(uppers):
        if upper != "WHEN":
            continue
        depth = all_words[index].depth
        stop = index + 1
        nested = 0
        while stop < len(uppers):
            if (
                all_words[stop].depth == depth
                and not nested
                and uppers[stop]
                in (
                    "WHEN",
                    "ELSE",
                    "END",
                )
            ):
                break
            nested += {"CASE": 1, "END": -1}.get(uppers[stop], 0)
            stop += 1
        alone = uppers[index - 1 : index] == ["CASE"] and uppers[stop : stop + 1] != ["WHEN"]
        if stop < len(uppers) and not alone:
            yield Change("no branch", all_words[index].start, all_words[stop].start, "")
