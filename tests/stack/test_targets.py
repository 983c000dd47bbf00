"""Where Prometheus finds the processes of a stack."""

import json
from pathlib import Path

from stack import run_directory, targets


def process(name: str, replica: int, url: str) -> dict[str, object]:
    return {"name": name, "replica": replica, "pid": 1, "url": url, "log": ""}


def test_each_process_by_its_own_address(tmp_path: Path) -> None:
    """Under the name of its service, with its replica; Postgres and Toxiproxy are left out. Only its owner reads the file."""
    processes = [
        process("billing_service", 0, "http://127.0.0.1:4001"),
        process("billing_service", 1, "http://127.0.0.1:4002"),
        process("postgres", 0, "postgresql://127.0.0.1:4003"),
        process("toxiproxy", 0, "http://127.0.0.1:4004"),
    ]
    targets.write(tmp_path, processes, ["billing_service", "order_service"])
    path = tmp_path / targets.FILE
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {
            "targets": [f"127.0.0.1:{4001 + replica}"],
            "labels": {"job": "billing_service", "replica": str(replica)},
        }
        for replica in (0, 1)
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_left_over(tmp_path: Path) -> None:
    """Of a stack that was killed: the next start removes it."""
    targets.write(tmp_path, [process("x", 0, "http://127.0.0.1:1")], ["x"])
    with run_directory.held(tmp_path):
        assert not (tmp_path / targets.FILE).exists()
    targets.forget(tmp_path)
