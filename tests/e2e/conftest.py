"""One lab for all end-to-end tests: brought up once, taken down whatever happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.lab import manage
from lpse_dr.lab.audit import site_states
from lpse_dr.lab.model import Lab

NAME = os.environ.get("LPSE_DR_TEST_LAB", "e2e")


@dataclass(frozen=True)
class Answer:
    """What a command said: exit code, the JSON envelope where it gave one, and both streams."""

    code: int
    json: dict[str, Any]
    stdout: str
    stderr: str


def lpse_dr(*words: str, timeout: float = 180) -> Answer:
    """Run the command as a script would: without a terminal."""
    program = Path(sys.executable).parent / "lpse-dr"
    environment = {**os.environ, "LPSE_DR_OFFICE": ""}
    done = subprocess.run(
        [str(program), *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    lines = done.stdout.strip().splitlines()
    envelope = json.loads(lines[-1]) if "json" in words and lines else {}
    return Answer(done.returncode, envelope, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two healthy sites, pdc active."""
    yield manage.up(NAME, lambda line: None)
    manage.down(NAME, lambda line: None)


def other(site: str) -> str:
    """Return the site that is not this one."""
    return "drc" if site == "pdc" else "pdc"


@pytest.fixture
def active(lab: Lab) -> str:
    """The site that is writable now; tests leave the lab healthy, whichever way round."""
    found = [site for site, state in site_states(lab).items() if state == "writable"]
    assert len(found) == 1, f"an earlier test left the lab with writable sites {found}"
    return found[0]
