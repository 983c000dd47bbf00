"""The rules of the compose files, the Dockerfile and .env.example, each a function to the places that break it."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from service_kit.environment.secrecy import MARK
from tests.architecture.rules import HARNESS, OURS, PROJECT

Definition = Mapping[str, Any]
_PREFIXES = {
    "order_service": "ORDER_",
    "billing_service": "BILLING_",
    "notification_service": "NOTIFICATION_",
}
PUBLISHING = ("gateway", "inspect", "lab", "prometheus", "grafana")
FILES = ("docker-compose.yml", "deploy/observability.yml")
# Compose puts it on top of docker-compose.yml: it changes services of that file.
LAB = "deploy/lab.yml"
# What the target `lab` of the Dockerfile holds beside the services.
LAB_HOLDS = (
    "stack",
    "report",
    "chaos",
    "lab",
    "tests/__init__.py",
    "tests/chaos/__init__.py",
    "tests/chaos/planted",
)
# Long after the end of Compose v1: what only a later version knows.
ONLY_V2 = ("develop", "attach", "gpus", "post_start", "pre_stop", "annotations")
# What a service may need after its last request, in seconds: its pools wait three, by default, for what uses a connection.
_CLOSING_S = 5
_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


def definition() -> Definition:
    """All compose files, parsed, as Compose puts them together: no file changes a service of another."""
    whole: dict[str, Any] = {}
    for name in FILES:
        parsed = yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))
        for kind, entries in parsed.items():
            if kind in ("services", "networks", "volumes"):
                repeated = whole.setdefault(kind, {}).keys() & entries
                if repeated:
                    raise ValueError(f"{name} changes {', '.join(repeated)}")
                whole[kind].update(entries)
            elif not kind.startswith("x-"):
                whole[kind] = entries
    return whole


def with_lab() -> Definition:
    """All compose files with deploy/lab.yml on top, as Compose merges them."""
    overlay = yaml.safe_load((PROJECT / LAB).read_text(encoding="utf-8"))
    merged: dict[str, Any] = _merged(definition(), overlay)
    return merged


def _merged(base: Any, over: Any, key: str = "") -> Any:
    """Mappings entry by entry, lists one after the other; a command replaces the one before."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        shared = {name: _merged(base[name], over[name], name) for name in base.keys() & over}
        return {**base, **over, **shared}
    if isinstance(base, list) and isinstance(over, list) and key not in ("command", "entrypoint"):
        return [*base, *over]
    return over


def services_are_guarded(compose: Definition) -> list[str]:
    """Read-only, without capabilities and new privileges, with a memory limit and a restart policy."""
    wanted = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    return [
        f"{name}: {key}"
        for name, service in compose["services"].items()
        for key in (*wanted, "mem_limit", "restart")
        if (service.get(key) != wanted[key] if key in wanted else not service.get(key))
        or ("privileged" in service or "cap_add" in service)
    ]


def who_is_stopped_may_finish(compose: Definition) -> list[str]:
    """Compose waits longer than the image, which waits for requests in flight and then closes its pools."""
    image = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    (waits_s,) = map(int, re.findall(r'"--timeout-graceful-shutdown", "(\d+)"', image))
    graces = {name: compose["services"][name].get("stop_grace_period", "10s") for name in _PREFIXES}
    return [
        f"{name}: {grace}"
        for name, grace in graces.items()
        if not grace.endswith("s") or int(grace[:-1]) < waits_s + _CLOSING_S
    ]


def ports_are_local(compose: Definition) -> list[str]:
    """Published on the loopback address only, and only by the gateway and, in its profile, by inspect."""
    return [
        f"{name}: {port}"
        for name, service in compose["services"].items()
        for port in service.get("ports", ())
        if not port.startswith("127.0.0.1:") or name not in PUBLISHING
    ] + [
        f"{name} is on the network edge"
        for name, service in compose["services"].items()
        if "edge" in service["networks"] and name not in PUBLISHING
    ]


def inspect_needs_its_profile(compose: Definition) -> list[str]:
    """Postgres, the admin port and notification are reached on request only; everything else runs without."""
    return [
        name
        for name, service in compose["services"].items()
        if service.get("profiles", []) != (["inspect"] if name == "inspect" else [])
    ]


def the_inside_is_internal(compose: Definition) -> list[str]:
    """The network of Postgres and the services has no way out."""
    return [] if compose["networks"]["inside"].get("internal") is True else ["inside"]


def both_versions_understand_it(compose: Definition) -> list[str]:
    """Nothing that docker-compose 1.29 refuses or ignores."""
    offences = [key for key in ("name", "include", "version") if key in compose]
    for name, service in compose["services"].items():
        offences += [f"{name}: {key}" for key in ONLY_V2 if key in service]
        for target, condition in service.get("depends_on", {}).items():
            if set(condition) != {"condition"}:
                offences.append(f"{name}: depends_on {target}")
        if "start_interval" in service.get("healthcheck", {}):
            offences.append(f"{name}: start_interval")
        offences += [
            f"{name}: nested default {value}"
            for value in _texts(service)
            if re.search(r"\$\{[^}]*\$\{", value)
        ]
    return offences


def who_stays_is_watched(compose: Definition) -> list[str]:
    """Whatever does not end by itself has a health check."""
    return [
        name
        for name, service in compose["services"].items()
        if service["restart"] == "unless-stopped" and "healthcheck" not in service
    ]


def secrets_by_default_are_marked(compose: Definition) -> list[str]:
    """What stands in the file is public, so it carries the mark that production refuses."""
    return sorted(
        {
            variable
            for service in compose["services"].values()
            for value in _texts(service)
            for variable, default in _DEFAULT.findall(value)
            if _is_secret(variable) and default and not default.startswith(MARK)
        }
    )


def secrets_stay_with_their_service(compose: Definition) -> list[str]:
    """A service's environment names its own variables, and those of another one only for the token that it sends there."""
    offences = []
    for name, prefix in _PREFIXES.items():
        environment = compose["services"][name]["environment"]
        others = tuple(each for each in _PREFIXES.values() if each != prefix)
        named = {
            *environment,
            *(v for text in _texts(environment) for v, _ in _DEFAULT.findall(text)),
        }
        offences += [
            f"{name}: {variable}"
            for variable in sorted(named)
            if variable.startswith((*others, "POSTGRES_", "MIGRATIONS_"))
            and not (name == "order_service" and variable.endswith("_TOKEN_OF_ORDER_SERVICE"))
        ]
    return offences


def gateways_are_bounded(compose: Definition) -> list[str]:
    """A Toxiproxy has descriptors for more connections than its memory holds, and collects its garbage before that ends."""
    return [
        name
        for name, service in compose["services"].items()
        if "toxiproxy" in service.get("image", "")
        and not (
            _mebibytes(service.get("environment", {}).get("GOMEMLIMIT", "0MiB"))
            in range(1, _mebibytes(service["mem_limit"]))
            # Two descriptors and 40 KiB for each connection.
            and service.get("ulimits", {}).get("nofile", {}).get("hard", 0) * 20 * 1024
            > _mebibytes(service["mem_limit"]) * 2**20
        )
    ]


def images_are_pinned(compose: Definition) -> list[str]:
    """An image of others has a tag that stays what it is; the project's own is built here."""
    return [
        f"{name}: {service['image']}"
        for name, service in compose["services"].items()
        if not service["image"].startswith("${")
        and re.search(r":v?\d[\w.-]*$", service["image"]) is None
    ]


def _mebibytes(size: str) -> int:
    return int(re.sub(r"(m|MiB)$", "", size))


RULES = (
    services_are_guarded,
    who_is_stopped_may_finish,
    ports_are_local,
    inspect_needs_its_profile,
    the_inside_is_internal,
    both_versions_understand_it,
    who_stays_is_watched,
    secrets_by_default_are_marked,
    secrets_stay_with_their_service,
    gateways_are_bounded,
    images_are_pinned,
)


def defaults(compose: Definition) -> dict[str, str]:
    """Every variable of the compose files with its default."""
    return {
        variable: default
        for service in compose["services"].values()
        for value in _texts(service)
        for variable, default in _DEFAULT.findall(value)
    }


def example(text: str) -> dict[str, str]:
    """The variables of an .env file, those that are commented out included."""
    return dict(re.findall(r"^#?([A-Z][A-Z_]*)=(.*)$", text, re.MULTILINE))


def of_the_image(dockerfile: str, ignore: str) -> list[str]:
    """The image holds our packages but for the harness; and the build does not even see anything else."""
    stages = re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)
    built = "".join(stage for stage in stages if not re.match(r"FROM \S+ AS lab\b", stage))
    copied = set(re.findall(r"^COPY (\w+) /\w+/\w+$", built, re.MULTILINE))
    wanted = {name for name in OURS if name not in HARNESS}
    offences = [f"not in the image: {name}" for name in sorted(wanted - copied)]
    offences += [f"in the image: {name}" for name in sorted(copied - wanted)]
    by_default = stages[-1].splitlines()[0]
    if by_default != "FROM services" or "lab" in re.findall(r"--from=(\w+)", built):
        offences.append("what is built by default is not the services' image")
    if re.search(r"^COPY (--\S+ )*\.", dockerfile, re.MULTILINE):
        offences.append("the whole folder is copied")
    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    if lines[:1] != ["*"]:
        offences.append(".dockerignore lets everything in")
    offences += [
        f".dockerignore lets in {line}"
        for line in lines
        if line.lstrip("!").split("/")[0] in HARNESS and line.lstrip("!") not in LAB_HOLDS
    ]
    return offences


def _is_secret(variable: str) -> bool:
    return variable.endswith(("_PASSWORD", "_TOKEN", "_TOKENS")) or "_TOKEN_OF_" in variable


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []
