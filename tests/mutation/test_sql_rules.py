"""What is broken in SQL."""

import pytest

from tests.mutation.sql_mutants import statement_mutants
from tests.mutation.sql_rules import changes
from tests.mutation.sql_words import looks_like_sql


def broken(sql: str) -> list[str]:
    """The statements that come out, white space made even."""
    return [
        " ".join((sql[: change.start] + change.text + sql[change.end :]).split())
        for change in changes(sql)
    ]


@pytest.mark.parametrize(
    "sql, expected",
    [
        pytest.param(
            "UPDATE t SET a = 1 WHERE b = $1 AND c = 'x'",
            "UPDATE t SET a = 1 WHERE (b = $1 OR true) AND c = 'x'",
            id="the first condition",
        ),
        pytest.param(
            "UPDATE t SET a = 1 WHERE b = $1 AND c = 'x' RETURNING a",
            "UPDATE t SET a = 1 WHERE b = $1 AND (c = 'x' OR true) RETURNING a",
            id="the last condition",
        ),
        pytest.param(
            "DELETE FROM t WHERE a = $1",
            "DELETE FROM t WHERE (a = $1 OR true)",
            id="the only condition",
        ),
        pytest.param(
            "SELECT 1 FROM t WHERE a IS NULL OR b = 1",
            "SELECT 1 FROM t WHERE a IS NULL OR (b = 1 AND false)",
            id="one of two possibilities",
        ),
        pytest.param(
            "SELECT 1 FROM t WHERE a IN (SELECT b FROM u WHERE c = 1 LIMIT 3) AND d",
            "SELECT 1 FROM t WHERE a IN (SELECT b FROM u WHERE (c = 1 OR true) LIMIT 3) AND d",
            id="inside of a subquery",
        ),
        pytest.param(
            "SELECT 1 FROM t WHERE a BETWEEN 1 AND 2 AND b",
            "SELECT 1 FROM t WHERE (a BETWEEN 1 AND 2 OR true) AND b",
            id="between",
        ),
        pytest.param(
            "SELECT 1 FROM t JOIN u ON t.a = u.a AND t.b = u.b WHERE c",
            "SELECT 1 FROM t JOIN u ON (t.a = u.a OR true) AND t.b = u.b WHERE c",
            id="of a join",
        ),
        pytest.param(
            "SELECT a FROM t WHERE b FOR NO KEY UPDATE SKIP LOCKED",
            "SELECT a FROM t WHERE b",
            id="a lock",
        ),
        pytest.param(
            "SELECT a FROM t FOR UPDATE SKIP LOCKED",
            "SELECT a FROM t FOR UPDATE",
            id="skip locked",
        ),
        pytest.param(
            "SELECT pg_advisory_xact_lock(1, hashtext($1))",
            "SELECT (1, hashtext($1))",
            id="an advisory lock",
        ),
        pytest.param(
            "SELECT pg_try_advisory_xact_lock_shared(1, hashtext(a))",
            "SELECT ((1, hashtext(a)) IS NOT NULL)",
            id="an advisory lock that is tried",
        ),
        pytest.param(
            "SELECT pg_advisory_xact_lock_shared(1)",
            "SELECT pg_advisory_xact_lock(1)",
            id="a shared lock that is exclusive",
        ),
        pytest.param(
            "SELECT a FROM t ORDER BY a, b LIMIT 3",
            "SELECT a FROM t LIMIT 3",
            id="an order",
        ),
        pytest.param(
            "SELECT array_agg(a ORDER BY b) FROM t",
            "SELECT array_agg(a ) FROM t",
            id="an order inside of an aggregate",
        ),
        pytest.param("SELECT a FROM t LIMIT 3", "SELECT a FROM t", id="a limit"),
        pytest.param(
            "SELECT a FROM t LIMIT $1",
            "SELECT a FROM t LIMIT $1::bigint + 1000000",
            id="a limit that is a parameter",
        ),
        pytest.param(
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING RETURNING a",
            "INSERT INTO t (a) VALUES (1) RETURNING a",
            id="on conflict",
        ),
        pytest.param(
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 WHERE t.a < 2",
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO NOTHING",
            id="what happens on a conflict",
        ),
        pytest.param("SELECT a < b", "SELECT a <= b", id="less than"),
        pytest.param("SELECT a >= b", "SELECT a > b", id="at least"),
        pytest.param("SELECT least(a, b)", "SELECT greatest(a, b)", id="the smaller of two"),
        pytest.param(
            "SELECT 1 FROM t WHERE a AND b", "SELECT 1 FROM t WHERE a OR b", id="and becomes or"
        ),
        pytest.param(
            "SELECT a FROM t ORDER BY a DESC", "SELECT a FROM t ORDER BY a ASC", id="turned around"
        ),
        pytest.param(
            "SELECT CASE WHEN a THEN 1 WHEN b THEN 2 ELSE 3 END",
            "SELECT CASE WHEN a THEN 1 ELSE 3 END",
            id="a branch",
        ),
    ],
)
def test_a_statement(sql: str, expected: str) -> None:
    """This is among its mutants."""
    assert expected in broken(sql)


def test_nothing_to_break() -> None:
    """A statement without a condition, a lock or an order has no mutant."""
    assert broken("INSERT INTO t (a, b) VALUES ($1, 'a WHERE b < c ORDER BY d')") == []


def test_operators_that_begin_like_a_comparison() -> None:
    """They stay: `->` and `@>` are no comparisons of numbers."""
    assert broken("SELECT a -> 'b', c @> d, e <@ f") == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t",
        "\n  WITH x AS (SELECT 1) SELECT 1",
        "UPDATE orders.orders SET a = 1",
        "INSERT INTO t VALUES (1)",
        "DELETE FROM t",
    ],
)
def test_a_statement_is_recognised(text: str) -> None:
    """By the verb it begins with."""
    assert looks_like_sql(text)


@pytest.mark.parametrize("text", ["update", "Select a book", "with care", "", "delete the order"])
def test_prose_is_no_statement(text: str) -> None:
    """A sentence that begins with such a verb is none."""
    assert not looks_like_sql(text)


def test_the_statements_of_a_module() -> None:
    """Literals of functions and of the module, f-strings too; the Python around them stays."""
    source = (
        'LOCK = "SELECT a FROM t FOR UPDATE"\n\n\n'
        "async def settle(connection):\n"
        '    """SELECT nothing WHERE it is a docstring."""\n'
        '    await connection.execute(f"DELETE FROM {TABLE} WHERE a = $1", 1)\n'
    )
    found = [(each.scope, each.line, each.added) for each in statement_mutants("a.py", source)]
    assert ("<module>", 1, ('LOCK = "SELECT a FROM t "',)) in found
    assert (
        "settle",
        6,
        ('await connection.execute(f"DELETE FROM {TABLE} WHERE (a = $1 OR true)", 1)',),
    ) in found
