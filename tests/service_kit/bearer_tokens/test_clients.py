"""A request is a client's only when it says so in one header, as RFC 6750 has it."""

import hmac

import pytest
from pydantic import SecretStr

from service_kit.bearer_tokens import BearerTokens

OLD, NEW, OTHER = "token-a-of-alpha-0", "token-b-of-alpha-1", "the/token+of~beta=="
CLIENTS = BearerTokens(
    {"alpha": (SecretStr(OLD), SecretStr(NEW)), "beta": (SecretStr(OTHER),)},
)


@pytest.mark.parametrize(
    ("token", "client"), [(OLD, "alpha"), (NEW, "alpha"), (OTHER, "beta")], ids=str
)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_a_token_names_its_client(token: str, client: str, scheme: str) -> None:
    """Both tokens of a client do; the scheme is written in any case, with spaces after it (RFC 9110, section 11.1)."""
    assert CLIENTS.client([f"{scheme} {token}"]) == client


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer  "],
        [OLD],
        [f"Bearer{OLD}"],
        [f"Basic {OLD}"],
        [f"Token {OLD}"],
        [f"Bearer {OLD}x"],
        [f"Bearer {OLD[:-1]}"],
        [f"Bearer {OLD.upper()}"],
        [f'Bearer "{OLD}"'],
        [f"Bearer {OLD} {OLD}"],
        [f"Bearer {OLD},"],
        [f"Bearer {OLD}, Bearer {OLD}"],
        [f"Bearer\t{OLD}"],
        [f"Bearer {OLD}\xa0"],
        [f" Bearer {OLD}"],
        ["Bearer \xff\xfe"],
        [f"Bearer {OLD}", f"Bearer {OLD}"],
        [f"Bearer {OLD}", f"Bearer {OTHER}"],
        [f"Bearer {OLD}", ""],
        ["", f"Bearer {OLD}"],
        ["Basic x", f"Bearer {OLD}"],
    ],
    ids=repr,
)
def test_any_other_header_names_no_client(lines: list[str]) -> None:
    """No header, two of them, another scheme, an empty, half or decorated token."""
    assert CLIENTS.client(lines) is None


@pytest.mark.parametrize("lines", [[f"Bearer {OLD}"], [f"Bearer {OTHER}"], ["Bearer x"], ["x"], []])
def test_every_request_is_compared_with_every_token(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In constant time, over texts of one length: neither the place of the match nor a token's length can be measured."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(given: bytes, known: bytes) -> bool:
        compared.append((len(given), len(known)))
        return compare(given, known)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    CLIENTS.client(lines)
    assert compared == [(32, 32)] * 3
