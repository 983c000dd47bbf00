"""The mutants of a Python file."""

import ast

from tests.mutation.python_mutants import python_mutants

SOURCE = '''"""A module."""

from fastapi import FastAPI

log = get_logger()
LIMIT = 3
Answer = Callable[[], bool]
app = FastAPI()


@app.post("/charges")
async def charge(amount: int = 5) -> bool:
    """Charges."""
    log.info("charged", amount=7)
    if amount < LIMIT:
        await pool.close(amount)
    title = "A sentence for people"
    sql = """
        SELECT 1
    """
    return ((amount - 1) > 2)
'''


def added(source: str = SOURCE) -> list[str]:
    """What stands in the mutants in the place of the original."""
    return [" ".join(mutant.added) for mutant in python_mutants("service/app.py", source)]


def test_a_comparison() -> None:
    """A bound moves by one; the condition is turned around."""
    assert "if amount<= LIMIT:" in added() or "if amount <= LIMIT:" in added()
    assert "if not (amount < LIMIT):" in added()


def test_a_call_for_its_effect() -> None:
    """It is left out."""
    assert "pass" in added()


def test_a_result() -> None:
    """Nothing is returned; the calculation in it is another one."""
    assert any(each.startswith("return") and "None" in each for each in added())
    assert any("amount + 1" in each for each in added())


def test_decorated_functions_and_the_code_of_a_module() -> None:
    """They take part, which mutmut alone leaves out."""
    assert "LIMIT = 4" in added()
    assert '@app.post("XX/chargesXX")' in added()
    assert "async def charge(amount: int = 6) -> bool:" in added()


def test_what_types_and_people_read() -> None:
    """Annotations, aliases of types, docstrings, log lines and sentences are left alone, and so is SQL."""
    text = "\n".join(added())
    assert "Answer" not in text
    assert "log" not in text
    assert "XXA sentence" not in text
    assert "XXCharges" not in text
    assert "SELECT" not in text
    assert "from" not in text


def test_every_mutant_is_another_program() -> None:
    """It compiles, and differs from the original in more than its layout."""
    mutants = list(python_mutants("service/app.py", SOURCE))
    original = ast.dump(ast.parse(SOURCE))
    assert len(mutants) > 15
    for mutant in mutants:
        assert ast.dump(ast.parse(mutant.source(SOURCE))) != original


def test_the_line_and_the_scope() -> None:
    """They name the place."""
    (mutant,) = [each for each in python_mutants("a.py", SOURCE) if each.added == ("pass",)]
    assert (mutant.line, mutant.scope) == (16, "charge")
    assert mutant.removed == ("await pool.close(amount)",)


def test_lines_that_come_and_go_above() -> None:
    """A mutant keeps its identity, so an entry in the list of equivalents stays true."""
    before = {mutant.id for mutant in python_mutants("a.py", SOURCE)}
    moved = SOURCE.replace("\n\n\n@app", "\n\n\ndef other() -> None: ...\n\n\n@app")
    assert before <= {mutant.id for mutant in python_mutants("a.py", moved)}


def test_the_same_change_twice_in_a_function() -> None:
    """Both are mutants of their own."""
    source = "def f(x):\n    g(x)\n    g(x)\n"
    mutants = [each for each in python_mutants("a.py", source) if each.added == ("pass",)]
    assert len({mutant.id for mutant in mutants}) == 2


def test_letters_outside_of_ascii() -> None:
    """Positions are those of characters, not of bytes."""
    source = 'NAME = "é…" ; LIMIT = 3\n'
    assert 'NAME = "é…" ; LIMIT = 4' in added(source)


def test_match() -> None:
    """A case is left out, and the others keep their indentation."""
    source = "def f(x):\n    match x:\n        case 1:\n            return 2\n        case _:\n            return 3\n"
    gone = [each for each in python_mutants("a.py", source) if each.rule == "match"]
    assert len(gone) == 2
    assert all(compile(each.source(source), "a.py", "exec") for each in gone)


def test_a_name_without_regard_to_case() -> None:
    """Of an HTTP field and of a codec: in capitals it is the same name; another name is a mutant."""
    assert 'x = y.decode("LATIN-1")' not in added('x = y.decode("latin-1")\n')
    assert 'x = y.decode("XXlatin-1XX")' in added('x = y.decode("latin-1")\n')
    www = added('HEADERS = {"WWW-Authenticate": "Bearer"}\n')
    assert not any("WWW-AUTHENTICATE" in line for line in www)
    found = added('HEADERS = {"Retry-After": "1"}\n')
    assert 'HEADERS = {"XXRetry-AfterXX": "1"}' in found
    assert 'HEADERS = {"RETRY-AFTER": "1"}' not in found
    assert 'LINE = HEADERS["AUTHORIZATION"]' not in added('LINE = HEADERS["authorization"]\n')
