"""What a container must not be, and an image must not hold.

Guarantee: each rule is a function from what Docker says to sentences that name the offence; no offence, no sentence.
"""

from collections.abc import Iterable, Mapping
from typing import Any

# Folders of the harness: an image with one of them is not the production image.
HARNESS = ("chaos", "tests", "bench")
TOOLS = ("gcc", "cc", "make", "git", "cargo")
LOOPBACK = "127.0.0.1"
# The ways in that the README names, and the page of the lab; everything else is behind the profile.
PUBLIC = ("gateway", "lab")
INSPECT = ("inspect",)

Inspected = Mapping[str, Any]


def of_a_container(service: str, container: Inspected) -> list[str]:
    """Offences of one running container, from `docker inspect`."""
    host = container["HostConfig"]
    user = str(container["Config"]["User"]).partition(":")[0]
    offences = []
    if user in ("", "0", "root"):
        offences.append(f"{service} runs as root")
    if not host["ReadonlyRootfs"]:
        offences.append(f"{service} can write to its root")
    if host["CapDrop"] != ["ALL"] or host["CapAdd"]:
        offences.append(f"{service} has capabilities")
    if not any(option.startswith("no-new-privileges") for option in host["SecurityOpt"] or ()):
        offences.append(f"{service} may gain privileges")
    if not host["Memory"]:
        offences.append(f"{service} has no memory limit")
    if host["Privileged"]:
        offences.append(f"{service} is privileged")
    return offences + _of_its_ports(service, container)


def _of_its_ports(service: str, container: Inspected) -> list[str]:
    published = [
        binding
        for bindings in (container["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    ]
    offences = [
        f"{service} is published on {binding['HostIp'] or 'every address'}"
        for binding in published
        if binding["HostIp"] != LOOPBACK
    ]
    if published and service not in (*PUBLIC, *INSPECT):
        offences.append(f"{service} is published")
    return offences


def of_the_image(image: Inspected, files: Iterable[str]) -> list[str]:
    """Offences of the image of the services: its configuration, and all its files by path."""
    config = image["Config"]
    offences = []
    if config["User"] != "10001:10001":
        offences.append(f"the image's user is {config['User'] or 'root'}")
    if config["StopSignal"] != "SIGTERM":
        offences.append("the image's stop signal is not SIGTERM")
    for path in files:
        parts = path.strip("/").split("/")
        if parts[0] == "app" and any(part in HARNESS for part in parts[1:]):
            offences.append(f"the harness is in the image: {path}")
        elif parts[-1] in TOOLS and "bin" in parts[:-1]:
            offences.append(f"a build tool is in the image: {path}")
    return offences
