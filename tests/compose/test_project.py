"""One compose project: what tells it from every other one on the machine."""

from chaos.compose.project import LAB_PORTS, PORTS, SECRETS, Project


def project(name: str) -> Project:
    return Project(["docker", "compose"], name, lambda _: None)


def shared(first: Project, second: Project) -> set[str]:
    """The variables that have one value in both."""
    return {name for name, value in first.environ.items() if second.environ[name] == value}


def test_two_projects_share_nothing() -> None:
    """No name, image, password or token; they run beside each other, and beside the stack of a person."""
    first, second = project("one"), project("two")
    # A port that is free may be chosen for both; the one that starts first has it.
    assert shared(first, second) - {*PORTS, *LAB_PORTS} == {"ENVIRONMENT"}
    assert first.image != second.image
    assert first.target.owner != second.target.owner


def test_each_command_names_its_project() -> None:
    """`down --volumes` of one takes nothing of another away."""
    for name in ("one", "two"):
        words = project(name)._compose
        assert words[words.index("--project-name") + 1] == name


def test_within_a_project_nothing_is_used_twice() -> None:
    """Each port and each secret has one use."""
    environ = project("one").environ
    for names in ((*PORTS, *LAB_PORTS), SECRETS):
        values = [environ[name] for name in names]
        assert len(set(values)) == len(values)
