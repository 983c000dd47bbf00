"""Background work that stops is reported once, with its name, and does not make the scenarios after it unknown."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from chaos import background
from chaos.acts import NOTHING, Needs
from chaos.mutants import hunt
from chaos.play import play
from chaos.report.lines import line
from chaos.run import WRAPPED, open_theatre, play_all
from chaos.scenarios import SCENARIOS
from chaos.scene import Scene
from chaos.theatre import Theatre
from chaos.verdict import Verdict
from tests.chaos.planted import BUGS

pytestmark = pytest.mark.chaos
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
