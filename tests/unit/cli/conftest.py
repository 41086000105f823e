"""An office in a temporary folder, and playbooks that only tell events."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpse_dr import i18n
from lpse_dr.cli.main import main

INVENTORY = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}
  children:
    site_pdc: {hosts: {pdc-db: {}, pdc-app: {}}}
    site_drc: {hosts: {drc-db: {}, drc-app: {}}}
    database: {hosts: {pdc-db: {}, drc-db: {}}}
    application: {hosts: {pdc-app: {}, drc-app: {}}}
"""


def reading(host: str, *, writable: bool, **more: Any) -> dict[str, Any]:
    """Return an event with the reading of a database host."""
    database = {"running": True, "writable": writable, "in_recovery": not writable, "lag_bytes": 0, "timeline": 1}
    body = {"host": host, "site": host[:3], "state": {"epoch": {"number": 4, "site": "pdc"}}, "database": database}
    return {"kind": "reading", "reading": {**body, **more}}


def application(host: str, health: str) -> dict[str, Any]:
    """Return an event with the reading of an application host."""
    return {"kind": "reading", "reading": {"host": host, "site": host[:3], "application": {"health": health}}}


HEALTHY = [
    reading("pdc-db", writable=True),
    reading("drc-db", writable=False),
    application("pdc-app", "serving"),
    application("drc-app", "standby"),
]
SWITCHED = [reading("pdc-db", writable=False), reading("drc-db", writable=True)]


@pytest.fixture(autouse=True)
def _language(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("LPSE_DR_OFFICE", raising=False)
    yield
    i18n.use(i18n.DEFAULT)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """An office with two sites and its own folder of records."""
    folder = tmp_path / "office"
    (folder / "inventory").mkdir(parents=True)
    (folder / "office.yml").write_text("name: LPSE Uji\nstate_folder: ../state\n", encoding="utf-8")
    (folder / "inventory" / "hosts.yml").write_text(INVENTORY, encoding="utf-8")
    return folder


Playbook = Callable[..., None]


@pytest.fixture
def playbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Playbook:
    """Write a playbook that tells these events, in the place where operations look for theirs."""
    monkeypatch.setattr("lpse_dr.operations.start.content_root", lambda: tmp_path / "content")

    def write(name: str, *events: dict[str, Any], fails: bool = False, naps: int = 0) -> None:
        tasks: list[dict[str, Any]] = [
            {"name": "Tell", "ansible.builtin.debug": {"var": "lpse_dr"}, "vars": {"lpse_dr": event}}
            for event in events
        ]
        if fails:
            tasks.append({"name": "Break", "ansible.builtin.fail": {"msg": "it broke"}})
        if naps:
            tasks.append({"name": "Nap", "ansible.builtin.command": f"sleep {naps}", "changed_when": False})
        tasks = tasks or [{"name": "Nothing", "ansible.builtin.debug": {"msg": "-"}}]
        folder = tmp_path / "content" / "playbooks"
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")

    return write


class Spoken:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON object in the last line of stdout."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


Call = Callable[..., Spoken]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Type a command."""

    def run(*words: object) -> Spoken:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Spoken(code, out, err)

    return run
