"""The alerts are those of docs/running.md, and each is known to fire and to be quiet."""

import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml

from stack.schema import PROJECT
from tests.deploy import queries
from tests.deploy.prometheus import CONFIGURATION, impatient, needed, promtool

# Whether a process is there at all is no metric of the process.
OF_PROMETHEUS = {"up"}


def documented(page: str) -> dict[str, tuple[set[str], set[str]]]:
    """Of each row of "What to watch": its metrics, with the alerts beside them and the labels that narrow it."""
    table = page.partition("## What to watch")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {
        row[1].strip(): (
            set(re.findall(r"`(\w+)", row[1])),
            set(re.findall(r"`(\w+)`", row[2])),
        )
        for row in rows
    }


def differences(page: str, rules: list[dict[str, Any]]) -> list[str]:
    """Where the page and the alerts do not say the same."""
    rows = documented(page)
    metrics = {
        rule["alert"]: {each.name for each in queries.Query("", rule["expr"]).selectors}
        for rule in rules
    }
    wrong = []
    for row, (named, alerts) in rows.items():
        if not alerts:
            wrong.append(f"{row} wakes no operator")
        for alert in alerts:
            if metrics.get(alert) != named:
                wrong.append(f"{alert} does not watch {row}")
    listed = {alert for _, alerts in rows.values() for alert in alerts}
    return wrong + [f"{alert} is not on the page" for alert in metrics.keys() - listed]


def page() -> str:
    return (PROJECT / "docs/running.md").read_text(encoding="utf-8")


def test_the_page_and_the_alerts_say_the_same() -> None:
    """Each row has its alerts, each alert its row, and both name the same metrics."""
    assert len(documented(page())) >= 8
    assert differences(page(), queries.rules()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda rules: rules.pop(),
        lambda rules: rules[3].update(expr="increase(order_settled_total[5m]) == 0"),
        lambda rules: rules.append({**rules[0], "alert": "Another"}),
    ],
)
def test_a_difference_is_noticed(change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """The negative control: an alert that is gone, that watches something else, that is not on the page."""
    rules = queries.rules()
    change(rules)
    assert len(differences(page(), rules)) == 1


def test_what_is_waited_for_stands_in_one_place() -> None:
    """All alerts that wait, wait for the same time; the test on a real stack leaves out nothing but that."""
    rules = yaml.safe_load(queries.ALERTS.read_text(encoding="utf-8"))
    waits = [rule.get("for") for group in rules["groups"] for rule in group["rules"]]
    assert len({wait for wait in waits if wait}) == 1
    text = queries.ALERTS.read_text(encoding="utf-8")
    assert len(re.findall(r"^ +for: (&\w+ )?\d", text, re.MULTILINE)) == 1
    at_once = impatient(rules)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    assert at_once == rules


def test_each_alert_is_tested_both_ways() -> None:
    """In alerts_test.yml each fires once, and all are quiet in a case with a series for each of their metrics."""
    tests = yaml.safe_load((CONFIGURATION / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fires = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fires == {rule["alert"] for rule in queries.rules()}
    (well,) = [test for test in tests if test["name"] == "all is well"]
    series = {re.split(r"[{ ]", each["series"])[0] for each in well["input_series"]}
    assert series >= {each.name for query in queries.alerts() for each in query.selectors}


@needed
async def test_the_rules_do_what_their_tests_say() -> None:
    """`promtool test rules`, and `promtool check config` of both configurations."""
    code, output = await promtool("test", "rules", "alerts_test.yml", directory=CONFIGURATION)
    assert code == 0, output
    for name in ("compose.yml", "local.yml"):
        code, output = await promtool("check", "config", name, directory=CONFIGURATION)
        assert code == 0, output


@needed
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (" == 0\n        # How", " == 2\n        # How"),
        ("&patience 1m", "&patience 5m"),
        ('job="billing_service"})', 'job="billing"})'),
        ("seconds) > 60", "seconds) > 59"),
        ('end="done"}[5m]) == 0', 'end="failed"}[5m]) == 0'),
        ('end="failed"}[5m]) > 0', 'end="failed"}[5m]) >= 0'),
        ("rounds_total[5m]) == 0\n", "rounds_total[5m]) < 0\n"),
        ("failures_total[5m])", "failures_total[20m])"),
        ("order_alarms_total > 0", "order_alarms_total > 1"),
        ('flag="no",key="known"', 'flag="yes",key="known"'),
        ("shed_total[5m]) > 0", "shed_total[5m]) >= 0"),
    ],
)
async def test_a_wrong_rule_is_noticed(tmp_path: Path, right: str, wrong: str) -> None:
    """The negative control: each alert, with one thing wrong, fails `promtool test rules`."""
    directory = Path(copytree(CONFIGURATION, tmp_path / "rules"))
    text = (directory / "alerts.yml").read_text(encoding="utf-8")
    assert right in text
    (directory / "alerts.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    code, output = await promtool("test", "rules", "alerts_test.yml", directory=directory)
    assert code != 0, output
