"""What a container must not be is noticed, each offence by itself."""

import copy
from typing import Any

import pytest

from chaos.compose import inspection

GUARDED: dict[str, Any] = {
    "Config": {"User": "10001:10001"},
    "HostConfig": {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 268435456,
        "Privileged": False,
    },
    "NetworkSettings": {"Ports": {"8001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]}},
}
IMAGE = {"Config": {"User": "10001:10001", "StopSignal": "SIGTERM"}}


def changed(part: str, key: str, value: Any) -> dict[str, Any]:
    """The guarded container with one thing otherwise."""
    container = copy.deepcopy(GUARDED)
    container[part][key] = value
    return container


def test_a_guarded_container_is_accepted() -> None:
    """No offence is invented."""
    assert inspection.of_a_container("gateway", GUARDED) == []


@pytest.mark.parametrize(
    "container",
    [
        changed("Config", "User", ""),
        changed("Config", "User", "0:0"),
        changed("Config", "User", "root"),
        changed("HostConfig", "ReadonlyRootfs", False),
        changed("HostConfig", "CapDrop", None),
        changed("HostConfig", "CapAdd", ["NET_ADMIN"]),
        changed("HostConfig", "SecurityOpt", None),
        changed("HostConfig", "Memory", 0),
        changed("HostConfig", "Privileged", True),
        changed("NetworkSettings", "Ports", {"1/tcp": [{"HostIp": "0.0.0.0"}]}),  # noqa: S104
        changed("NetworkSettings", "Ports", {"1/tcp": [{"HostIp": ""}]}),
    ],
)
def test_an_offence_is_noticed(container: dict[str, Any]) -> None:
    """The negative control."""
    assert len(inspection.of_a_container("gateway", container)) == 1


def test_a_published_database_is_noticed() -> None:
    """Only the gateway and inspect may publish."""
    assert inspection.of_a_container("postgres", GUARDED) == ["postgres is published"]


def test_the_image_is_accepted() -> None:
    """Services, libraries and the interpreter are no offence; nor is a library's folder of tests."""
    files = ["/app/billing_service/app.py", "/opt/venv/lib/x/tests/a.py", "/opt/venv/bin/python"]
    assert inspection.of_the_image(IMAGE, files) == []


@pytest.mark.parametrize(
    ("image", "files"),
    [
        (IMAGE, ["/app/chaos/__init__.py"]),
        (IMAGE, ["/app/tests/conftest.py"]),
        (IMAGE, ["/usr/bin/gcc"]),
        ({"Config": {"User": "", "StopSignal": "SIGTERM"}}, []),
        ({"Config": {"User": "10001:10001", "StopSignal": "SIGKILL"}}, []),
    ],
)
def test_an_offence_of_the_image_is_noticed(image: dict[str, Any], files: list[str]) -> None:
    """The negative control."""
    assert len(inspection.of_the_image(image, files)) == 1
