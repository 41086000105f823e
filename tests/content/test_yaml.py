"""House rules of all Ansible content: long names, nothing ignored, nothing left for later."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("playbooks", "roles", "molecule") for path in (ROOT / folder).rglob("*.yml"))
TASKS = [
    path
    for path in FILES
    if path.parent.name not in ("defaults", "vars", "meta") and path.name not in ("molecule.yml", "base.yml")
]
OWN = {path.stem for path in (ROOT / "lpse_dr/plugins/action").glob("*.py")} - {"__init__"}
KEYWORDS = {
    "always", "args", "async", "become", "block", "changed_when", "check_mode", "connection", "delay", "delegate_facts", "delegate_to", "environment",
    "failed_when", "ignore_unreachable", "loop", "loop_control", "module_defaults", "name", "no_log", "poll", "register", "rescue", "retries", "run_once",
    "until", "vars", "when",
}  # fmt: skip


def tasks(items: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield every list of tasks, plays and blocks opened."""
    plays = [item for item in items or [] if isinstance(item, dict)]
    if plays and all("hosts" in play or "ansible.builtin.import_playbook" in play for play in plays):
        for play in plays:
            for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from tasks(play.get(section))
        return
    if plays:
        yield plays
    for task in plays:
        for section in ("block", "rescue", "always"):
            yield from tasks(task.get(section))


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=names)
def test_is_short_and_finished(path: Path) -> None:
    text = path.read_text()
    # An operation of a whole site stands in one piece: its order is what has to be read.
    assert text.count("\n") < (520 if path.name in ("switchover.yml", "failover.yml") else 300)
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK|TBD)\b", text)


@pytest.mark.parametrize("path", TASKS, ids=names)
def test_tasks_use_long_names_and_ignore_nothing(path: Path) -> None:
    for group in tasks(yaml.safe_load(path.read_text())):
        for position, task in enumerate(group):
            assert "ignore_errors" not in task
            assert task.get("name"), f"a task without a name: {task}"
            for action in set(task) - KEYWORDS:
                assert action.startswith("ansible.builtin.") or action in OWN, action
            if task.get("failed_when") is False:
                assert judged(path, task, group[position + 1 :]), f"{task['name']}: nobody judges its result"


def judged(path: Path, task: dict[str, Any], following: list[dict[str, Any]]) -> bool:
    """Tell whether what a task registered is looked at: by the next task, or by the role's named guards."""
    name = task["register"]
    if following and name in str(following[0]):
        return True
    role = path.relative_to(ROOT).parts[1]
    guards = ROOT / "roles" / role / "vars" / "main.yml"
    return not following and guards.exists() and name in guards.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "lpse_dr/plugins/module_utils/lpse_dr_host").glob("*.py")), ids=names)
def test_what_runs_on_hosts_is_python_3_8(path: Path) -> None:
    # A formatter that knows a newer grammar may use it where nobody wrote it.
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_every_command_has_its_playbook_and_every_playbook_its_command() -> None:
    from lpse_dr.cli import nouns

    modules = [
        importlib.import_module(f"{nouns.__name__}.{found.name}") for found in pkgutil.iter_modules(nouns.__path__)
    ]
    operations = [verb.operation for module in modules for verb in getattr(module, "VERBS", ()) if verb.operation]
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert {operation.playbook(ROOT).stem for operation in operations} == playbooks
