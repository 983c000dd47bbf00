"""The figures as text: the tables of the console and the performance section of the README.

Guarantee: the section is made from docs/bench.json alone, so every figure in it was measured; a figure that the file lacks is
shown as "not measured".
"""

import json
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent
FIGURES = _PROJECT / "docs" / "bench.json"
README = _PROJECT / "README.md"
BEGIN = "<!-- performance: made by `make bench`, do not edit -->"
END = "<!-- end of performance -->"


# Figures from before the fair baselines existed have none of them.
NOT_MEASURED = "not measured"
_BASELINES = ("nothing", "fair nothing", "unprotected", "fair unprotected")


def section(whole: dict[str, Any]) -> str:
    """The README's section."""
    figures = whole["figures"]
    rows = [
        "| connections | exactly once | nothing, *typical* | nothing, *fair* | unprotected, *typical* | unprotected, *fair* "
        "| median latency ÷ unprotected, *typical* | …, *fair* |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(connections, figures[f"charges at {connections}"]) for connections in (1, 32, 128)),
    ]
    repeated, orders = figures["replays and a hot account"], figures["orders from end to end"]
    drain, keys = figures["drain"], figures["processed keys in the table"]
    memory = figures["memory of billing over charges, MiB"]
    lines = [
        BEGIN,
        "",
        f"Measured on {whole['date']} with Python {whole['python']} on {whole['machine']}: medians of {whole['rounds']} rounds of "
        f"{whole['seconds']} s, in turn. *Nothing* is an endpoint of the same shape that does nothing; *unprotected* moves the "
        "money and writes the ledger in one statement, without a key; in brackets: exactly once ÷ this baseline. *Typical* baselines "
        "are plain FastAPI and *fair* ones have billing's direct route and garbage-collector tuning, so only a typical ratio "
        "includes what billing gains from these two.",
        "",
        *rows,
        "",
        f"- replays: {repeated['replay / charge']:.2f} times the charges; a single hot account: {repeated['one account / charge']:.2f} times",
        f"- orders from end to end: {orders['orders']['per_second']:,.0f}/s, {orders['orders / three that do nothing']:.2f} times a chain of "
        "three typical services that do nothing",
        f"- with 1 and 5 million processed keys in the table: {keys['1 million / 0 million']:.2f} and "
        f"{keys['5 million / 0 million']:.2f} times the throughput with none",
        f"- {drain['orders']:,} orders that were pending when billing came back: settled in {drain['seconds']:.1f} s, "
        f"{drain['drain / orders from end to end']:.2f} times the rate above, with {drain['attempts / orders']:.2f} attempts for each",
        f"- billing's memory: {memory[0][1]:.0f} MiB after {memory[0][0]:,} charges, {memory[-1][1]:.0f} MiB after {memory[-1][0]:,}",
        "",
        "![Throughput at 1, 32 and 128 connections](docs/bench.svg)",
        "",
        END,
    ]
    return "\n".join(lines)


def _row(connections: int, at: dict[str, Any]) -> str:
    cells = [f"{connections}", f"{at['charge']['per_second']:,.0f}/s"]
    for name in _BASELINES:
        cells.append(
            f"{at[name]['per_second']:,.0f}/s ({at[f'charge / {name}']:.2f})"
            if name in at
            else NOT_MEASURED
        )
    for name in ("unprotected", "fair unprotected"):
        latency = at.get(f"median latency, charge / {name}")
        cells.append(NOT_MEASURED if latency is None else f"{latency:.2f}")
    return f"| {' | '.join(cells)} |"


def write_readme() -> None:
    """Replaces the README's section by one made from the stored figures."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    README.write_text(before + section(figures) + after, encoding="utf-8")


def tables(whole: dict[str, Any]) -> str:
    """All figures as indented text."""
    lines = [
        f"{whole['machine']}, Python {whole['python']}, {whole['rounds']} rounds of {whole['seconds']} s"
    ]
    for title, figures in whole["figures"].items():
        lines.append(f"\n{title}")
        if isinstance(figures, list):
            lines += [f"  {count:>12,}  {value:>10,.1f}" for count, value in figures]
            continue
        for name, value in figures.items():
            if isinstance(value, dict):
                speed, p50, p99 = value["per_second"], value["p50_ms"], value["p99_ms"]
                lines.append(
                    f"  {name:<40} {speed:>10,.0f}/s  p50 {p50:>8.2f} ms  p99 {p99:>8.2f} ms"
                )
            else:
                lines.append(f"  {name:<60} {value:>12,.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    write_readme()
