"""deploy/observability.yml fits to the stack: what is mounted is there, and who is asked answers there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack.schema import PROJECT
from tests.deploy import queries

FILES = ("docker-compose.yml", "deploy/observability.yml")
# Of Dependabot's own file_fetcher.rb for docker-compose.
DEPENDABOT = re.compile(r"(docker-)?compose(-\w+)?(\.[\w-]+)?\.ya?ml", re.IGNORECASE)


def read(path: str) -> Any:
    return yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))


def mounts(service: str) -> dict[str, Path]:
    """Of each folder in the container the one of the project."""
    volumes = read("deploy/observability.yml")["services"][service]["volumes"]
    pairs = (volume.split(":")[:2] for volume in volumes if volume.startswith("./"))
    return {inside: PROJECT / outside for outside, inside in pairs}


def outside(service: str, path: str) -> Path:
    """Where the file of a container is in the project."""
    (folder,) = [each for each in mounts(service) if Path(path).is_relative_to(each)]
    return mounts(service)[folder] / Path(path).relative_to(folder)


def test_dependabot_finds_every_compose_file() -> None:
    """It looks for names, not for contents; a link does not count."""
    (entry,) = [
        each
        for each in read(".github/dependabot.yml")["updates"]
        if each["package-ecosystem"] == "docker-compose"
    ]
    for name in FILES:
        file = (PROJECT / name).resolve()
        assert DEPENDABOT.search(file.name)
        assert f"/{file.parent.relative_to(PROJECT)}".rstrip(".") in entry["directories"]
    assert DEPENDABOT.search("observability.yml") is None


def test_prometheus_asks_each_service_at_its_port() -> None:
    """Under the job that the alerts name; and its own file is mounted."""
    compose = read("docker-compose.yml")["services"]
    service = read("deploy/observability.yml")["services"]["prometheus"]
    (flag,) = [each for each in service["command"] if each.startswith("--config.file=")]
    config = yaml.safe_load(
        outside("prometheus", flag.partition("=")[2]).read_text(encoding="utf-8")
    )
    asked = {
        job["job_name"]: (discovery["names"], discovery["port"])
        for job in config["scrape_configs"]
        for discovery in job["dns_sd_configs"]
    }
    assert asked == {
        name: ([name], int(compose[name]["command"][-1]))
        for name in ("order_service", "billing_service", "notification_service")
    }
    for name in config["rule_files"]:
        assert (mounts("prometheus")["/etc/prometheus"] / name).is_file()
    jobs = {
        job
        for rule in queries.rules()
        for found in re.findall(r'job=~?"([^"]*)"', rule["expr"])
        for job in found.split("|")
    }
    assert jobs == set(asked)


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    """The paths of its provisioning lead to the project's files, and each query asks the provisioned data source."""
    service = read("deploy/observability.yml")["services"]["grafana"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert outside("grafana", home) == queries.DASHBOARD
    (provider,) = read("deploy/grafana/provisioning/dashboards/dashboards.yml")["providers"]
    assert outside("grafana", provider["options"]["path"]) == queries.DASHBOARD.parent
    (source,) = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    prometheus = read("deploy/observability.yml")["services"]["prometheus"]
    assert source["url"] == "http://prometheus:" + prometheus["ports"][0].rpartition(":")[2]
    board = json.loads(queries.DASHBOARD.read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == source["uid"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_no_two_panels_overlap() -> None:
    """On Grafana's grid of 24 columns."""
    board = json.loads(queries.DASHBOARD.read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def compose() -> list[str] | None:
    """The command of Compose on this machine, whichever there is."""
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0
    ):
        return [docker, "compose"]
    old = shutil.which("docker-compose")
    return [old] if old else None


@pytest.mark.skipif(compose() is None, reason="Docker Compose is not installed")
def test_compose_accepts_the_files() -> None:
    """`docker compose config`, with the files as the documents name them."""
    command = [*(compose() or ()), *(part for name in FILES for part in ("-f", name)), "config"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {"prometheus", "grafana", "gateway"} <= set(yaml.safe_load(done.stdout)["services"])
