"""A browser cannot be led to a service under another name, nor change anything for the page of another site."""

import httpx
import pytest
from fastapi import FastAPI

from service_kit.problem_details import HostCheck, ProblemCatalogue, host_check, install

PUBLIC = "https://shop.example"


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8001")


@pytest.fixture
def app() -> FastAPI:
    """An application with one path for every method, and a probe."""
    app = FastAPI()
    whole = install(app, ProblemCatalogue.of(()))
    app.add_middleware(
        HostCheck,
        catalogue=lambda: whole,
        hosts=("inner_name", "[2001:db8::1]"),
        public_url=PUBLIC,
        probes={"/probe"},
    )

    async def answered() -> str:
        return "answered"

    app.api_route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])(answered)
    app.api_route("/probe", methods=["GET", "POST"])(answered)
    return app


async def status(app: FastAPI, method: str = "GET", path: str = "/", **headers: str) -> int:
    async with client(app) as asking:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return (await asking.request(method, path, headers=named)).status_code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8001",
        "localhost",
        "LOCALHOST:1",
        "[::1]:8001",
        "[0:0::1]",
        "shop.example",
        "Shop.Example:443",
        "inner_name:8002",
        "[2001:DB8::1]:80",
    ],
)
async def test_its_own_names(app: FastAPI, host: str) -> None:
    """Loopback, the host of the public URL, and those of the setting: with any port, in any spelling."""
    assert await status(app, host=host) == 200


FOREIGN = [
    "evil.example",
    "evil.example:8001",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "shop.example.evil",
    "evil-shop.example",
    "xlocalhost",
    "localhost.",
    "localhost@evil.example",
    "evil.example#localhost",
    "localhost, evil.example",
    "localhost:8001:1",
    "localhost:x",
    "localhost:123456",
    "127.1",
    "2130706433",
    "",
    ":8001",
    "[::1",
    "[::1]x",
    "a" * 301,
]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/probe"])
async def test_a_foreign_name(app: FastAPI, host: str, path: str) -> None:
    """421 with a problem, for probes as well: DNS rebinding leads a page here under its own name."""
    async with client(app) as asking:
        response = await asking.get(path, headers={"host": host})
    assert response.status_code == 421
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["type"] == "/problems/host-unknown"
    assert response.json()["detail"] == "The Host header names another service."
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8001", "[fe80::1]:8001", "192.168.0.9"])
async def test_an_address(app: FastAPI, host: str) -> None:
    """A probe is answered, because a kubelet knows nothing else of an instance; nothing else is."""
    assert await status(app, path="/probe", host=host) == 200
    assert await status(app, host=host) == 421


@pytest.mark.parametrize(
    ("path", "hosts", "expected"),
    [
        ("/", [], 421),
        ("/probe", [], 200),
        ("/", ["localhost", "localhost"], 421),
        ("/", ["localhost", "evil.example"], 421),
        ("/", ["evil.example", "localhost"], 421),
        ("/probe", ["localhost", "evil.example"], 421),
        ("/probe", ["evil.example", "10.1.2.3"], 421),
    ],
)
async def test_none_or_two(app: FastAPI, path: str, hosts: list[str], expected: int) -> None:
    """Two hosts are ambiguous and refused; without a host only a probe is answered."""
    headers = [(b"host", host.encode()) for host in hosts]
    assert await answered_with(app, "GET", path, headers) == expected


async def test_an_origin_without_a_host(app: FastAPI) -> None:
    """A probe that changes something for a page is refused, because no name of the service is known that the page could have."""
    origin = [(b"origin", b"http://127.0.0.1:8001")]
    assert await answered_with(app, "POST", "/probe", []) == 200
    assert await answered_with(app, "POST", "/probe", origin) == 403


async def answered_with(
    app: FastAPI, method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> int:
    """The status, without the Host that a client would add."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    answered: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            answered.append(int(str(message["status"])))

    await app(scope, receive, send)  # type: ignore[arg-type]
    (status,) = answered
    return status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1:8002"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://localhost:8001"},
        {"origin": "http://127.0.0.1:8001.evil.example"},
        {"origin": "http://127.0.0.1:8001@evil.example"},
        {"origin": "http://shop.example"},
        {"origin": "https://shop.example:444"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "file://"},
        {"origin": "chrome-extension://abc"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "whatever"},
        {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:8001"},
        {"sec_fetch_site": "same-origin", "origin": "http://evil.example"},
    ],
    ids=str,
)
async def test_a_page_of_another_origin(app: FastAPI, method: str, headers: dict[str, str]) -> None:
    """403 for whatever changes something; another port or scheme is another origin."""
    async with client(app) as asking:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        response = await asking.request(method, "/", headers=named)
    assert response.status_code == 403
    assert response.json()["type"] == "/problems/origin-foreign"
    assert response.json()["detail"] == "The request comes from a page of another origin."
    assert response.headers["Connection"] == "close"


async def test_two_origins(app: FastAPI) -> None:
    """Each one has to be the service's own."""
    async with client(app) as asking:
        for other in ("http://evil.example", "null"):
            own = "http://127.0.0.1:8001"
            headers = [("origin", own), ("origin", other)]
            assert (await asking.post("/", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8001"},
        {"origin": "http://127.0.0.1:8001", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": PUBLIC},
        {"origin": "https://shop.example:443"},
        {"host": "shop.example", "origin": PUBLIC},
        {"host": "shop.example:443", "origin": PUBLIC},
        {"host": "inner_name:80", "origin": "http://inner_name"},
    ],
    ids=str,
)
async def test_a_caller_that_is_not_another_page(app: FastAPI, headers: dict[str, str]) -> None:
    """The counterpart: no browser, the service's own page, and the page under the public URL."""
    assert await status(app, "POST", **headers) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_link_from_another_page(app: FastAPI, method: str) -> None:
    """Reading changes nothing, and without CORS the page sees nothing of the answer."""
    foreign = {"origin": "http://evil.example", "sec_fetch_site": "cross-site"}
    assert await status(app, method, **foreign) == 200


def test_how_many_names_are_kept() -> None:
    """A caller that makes up names fills no memory."""
    assert host_check._authority.cache_info().maxsize == 256
