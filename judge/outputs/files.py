"""The files of a run, in one folder.

Guarantee: a folder that cannot be written is reported before anything is sent.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from judge.errors import JudgeError
from judge.outputs.badge import badge
from judge.outputs.junit import junit
from judge.outputs.page import page
from judge.outputs.result import Json
from judge.outputs.sarif import sarif


class Files:
    """Where the files go; `html` is a second place for the report."""

    def __init__(self, folder: Path, html: Path | None) -> None:
        self.folder = folder
        self._html = html
        self._write(lambda: folder.mkdir(parents=True, exist_ok=True), folder)
        probe = folder / "result.json"
        self._write(lambda: probe.open("a", encoding="utf-8").close(), probe)
        if html is not None:
            self._write(lambda: html.open("a", encoding="utf-8").close(), html)

    def __str__(self) -> str:
        return f"report: {self.folder / 'report.html'}"

    def json(self, document: Json) -> str:
        """result.json as a text."""
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def write(self, document: Json) -> None:
        """Writes all of them. Raises `JudgeError`."""
        html = page(document)
        texts = {
            self.folder / "result.json": self.json(document),
            self.folder / "junit.xml": junit(document),
            self.folder / "results.sarif": sarif(document),
            self.folder / "report.html": html,
            self.folder / "badge.svg": badge(document["verdict"]),
        }
        if self._html is not None:
            texts[self._html] = html
        for file, text in texts.items():
            self._write(partial(file.write_text, text, encoding="utf-8", errors="replace"), file)

    def _write(self, action: Callable[[], object], file: Path) -> None:
        try:
            action()
        except OSError as exc:
            raise JudgeError(f"{file} cannot be written: {exc.strerror}.") from exc
