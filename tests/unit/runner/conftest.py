"""Tiny playbooks on localhost stand for operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.runner.folder import Run
from lpse_dr.runner.launch import Order, launch

Start = Callable[..., Run]

HOSTS = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}
  children:
    site_pdc: {hosts: {pdc-db: {}}}
    site_drc: {hosts: {drc-db: {}}}
    database: {hosts: {pdc-db: {}, drc-db: {}}}
"""


def play(*tasks: str, hosts: str = "localhost") -> str:
    """Return a playbook of one play."""
    lines = "".join(f"    - {task}\n" for task in tasks)
    return f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n{lines}"


def tell(event: str) -> str:
    """Return a task whose result carries an event."""
    return f"{{ansible.builtin.debug: {{var: lpse_dr}}, vars: {{lpse_dr: {event}}}}}"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder of records."""
    return tmp_path / "state"


@pytest.fixture
def start(tmp_path: Path, state: Path) -> Start:
    """Launch a playbook given as text."""

    def begin(playbook: str, *, changes: bool = True, **more: Any) -> Run:
        state.mkdir(exist_ok=True)
        path = tmp_path / "playbook.yml"
        path.write_text(playbook, encoding="utf-8")
        inventory = tmp_path / "inventory" / "hosts.yml"
        inventory.parent.mkdir(exist_ok=True)
        inventory.write_text(more.pop("hosts", HOSTS), encoding="utf-8")
        return launch(
            Order("switchover", path, inventory, state, changes, "lpse-dr switchover --from pdc --to drc", **more)
        )

    return begin
