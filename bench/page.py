"""The figures in words: the tables of the console and the performance section of the README.

Guarantee: the section is made of docs/bench.json and of nothing else, so a figure in it was measured, and a test sees when
either was edited.
"""

import json
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent
FIGURES = _PROJECT / "docs" / "bench.json"
README = _PROJECT / "README.md"
BEGIN = "<!-- performance: made by `make bench`, do not edit -->"
END = "<!-- end of performance -->"


def section(whole: dict[str, Any]) -> str:
    """The README's section: the ratios first, because only they travel to another machine."""
    figures = whole["figures"]
    rows = [
        "| connections | nothing | unprotected | exactly once | ÷ nothing | ÷ unprotected | median latency ÷ unprotected |",
        "|---|---|---|---|---|---|---|",
    ]
    for connections in (1, 32, 128):
        at = figures[f"charges at {connections}"]
        speeds = [
            f"{at[name]['per_second']:,.0f}/s" for name in ("nothing", "unprotected", "charge")
        ]
        latency = at["median latency, charge / unprotected"]
        rows.append(
            f"| {connections} | {' | '.join(speeds)} | {at['charge / nothing']:.2f} | "
            f"{at['charge / unprotected']:.2f} | {latency:.2f} |"
        )
    repeated, orders = figures["replays and a hot account"], figures["orders from end to end"]
    drain, keys = figures["drain"], figures["processed keys in the table"]
    memory = figures["memory of billing over charges, MiB"]
    lines = [
        BEGIN,
        "",
        f"Measured on {whole['date']} with Python {whole['python']} on {whole['machine']}: medians of {whole['rounds']} rounds of "
        f"{whole['seconds']} s, in turn. *Nothing* is a FastAPI endpoint of the same shape that does nothing; *unprotected* moves the "
        "money and writes the ledger in one statement, without a key.",
        "",
        *rows,
        "",
        f"- replays: {repeated['replay / charge']:.2f} times the charges; a single hot account: {repeated['one account / charge']:.2f} times",
        f"- orders from end to end: {orders['orders']['per_second']:,.0f}/s, {orders['orders / three that do nothing']:.2f} times a chain of "
        "three services that do nothing",
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


def write_readme() -> None:
    """Puts the section of the stored figures into the README."""
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
