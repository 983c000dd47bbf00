"""Free ports for servers that open them themselves."""

from stack import ports


def test_several_ports_differ() -> None:
    """Each is another one: they are held together until all of them are chosen."""
    chosen = ports.choose_several(300)
    assert len(set(chosen)) == 300
    assert all(0 < port < 65_536 for port in chosen)
