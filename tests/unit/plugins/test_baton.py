"""The conductor as a process of its own, started as the action starts it, with a real agent on this machine."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lpse_dr.plugins import module_utils
from lpse_dr.plugins.module_utils import lpse_dr_conductor

PLUGINS = Path(str(module_utils.__file__)).parent.parent


def started(order: dict[str, Any]) -> dict[str, Any]:
    """Return what a conductor reports that was started by the program of the action."""
    tree = ast.parse((PLUGINS / "action" / "conductor.py").read_text())
    program = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAM"
    )
    whole = {
        "become_passwords": {}, "operation": None, "lifetime_seconds": 20, "record_socket": "", "finally_steps": [],
        "each": False, "whole": [], **order,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program, str(PLUGINS)],
        input=json.dumps(whole).encode(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def here(**more: Any) -> dict[str, Any]:
    """Return a host that is this machine."""
    return {
        "a": {"config": {}, "site": "pdc", "argv": [sys.executable, "-u", "-c", lpse_dr_conductor.BOOTSTRAP], **more}
    }


def test_it_plays_and_reports() -> None:
    done = started({"hosts": here(), "steps": [{"name": "one", "at": ["a"], "verb": "host.ping"}]})
    assert "failed" not in done
    assert (done["changed"], done["fired"], set(done["answers"])) == (False, False, {"one"})
    assert [entry["name"] for entry in done["lpse_dr"]["steps"]] == ["one"]


def test_a_password_in_a_text_is_struck_out() -> None:
    step = {"name": "one", "at": ["a"], "verb": 'host.se"cret'}
    done = started({"hosts": here(), "steps": [step], "become_passwords": {"a": 'se"cret'}})
    assert done["failed"]
    assert done["error"]["id"] == "verb.unknown"
    assert "********" in done["error"]["found"]
    assert 'se"cret' not in json.dumps(done)


def test_who_cannot_be_reached_is_named_and_nothing_was_done() -> None:
    done = started({"hosts": here(argv=["false"]), "steps": [{"name": "one", "at": ["a"], "verb": "host.ping"}]})
    assert (done["failed"], done["undone"], done["fired"]) == (True, True, False)
    assert done["error"]["data"]["host"] == "a"


def test_a_record_that_cannot_be_kept_stops_it_before_the_first_step() -> None:
    done = started({"hosts": here(), "steps": [], "record_socket": "/nonexistent/socket"})
    assert (done["failed"], done["error"]["id"]) == (True, "journal.unwritable")
