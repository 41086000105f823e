"""Run one verb on the host of the task: over Ansible's own connection, by the agent that the conductor uses too."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


def conductor_module() -> Any:
    """Import what knows how an agent is started; see ``guard.py`` about the path."""
    folder = str(Path(__file__).resolve().parent.parent / "module_utils")
    if folder not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(folder)
    from ansible.module_utils import lpse_dr_conductor

    return lpse_dr_conductor


def knock(connection: Any, address: str, seconds: float) -> None:
    """Give up on a host that takes no connection within ``seconds``; AnsibleConnectionFailure names it.

    SSH itself waits longer, and for ever where an earlier connection to a host that has died is still thought alive.
    Only where SSH goes there directly: ``ssh -G`` says what configuration and arguments come to.
    """
    words = [str(connection.get_option(name) or "") for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")]
    argv = ["ssh", "-G", *shlex.split(" ".join(words)), address]
    if connection.get_option("port"):
        argv[2:2] = ["-p", str(connection.get_option("port"))]
    shown = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    known = dict(line.partition(" ")[::2] for line in shown.stdout.splitlines())
    if not known.get("hostname") or {known.get("proxyjump", "none"), known.get("proxycommand", "none")} != {"none"}:
        return
    try:
        socket.create_connection((known["hostname"], int(known.get("port") or 22)), seconds).close()
    except OSError as error:
        raise AnsibleConnectionFailure(f"no SSH at {known['hostname']} within {seconds:g} s: {error}") from error


def read_answer(stdout: str) -> dict[str, Any]:
    """Return the agent's answer to the one request; AnsibleActionFail where none came."""
    for line in reversed(stdout.splitlines()):
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == 1:
                return answer
    raise AnsibleActionFail("The host did not answer.")


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """Arguments: ``name`` (noun.verb), ``args``, ``config``, ``site``, ``host``, ``operation``, ``timeout_seconds``.

    Several times quicker than a module: no archive is packed, sent and unpacked, and Ansible's own library is not
    loaded on the host. Returns ``result``, for status verbs ``reading``; a failure carries ``error``.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("name", "args", "config", "site", "host", "operation", "timeout_seconds"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run it; under --check only verbs that look are run."""
        super().run(tmp, task_vars)
        patience = self._templar.template((task_vars or {}).get("lpse_dr_knock_seconds") or 0)
        if float(patience) and self._connection.transport == "ssh":
            knock(
                self._connection,
                str(self._connection.get_option("host") or self._play_context.remote_addr),
                float(patience),
            )
        conductor = conductor_module()
        args = json.loads(json.dumps(dict(self._task.args), default=str))
        name = str(args["name"])
        if self._task.check_mode and name not in conductor.everything.READING:
            return {"changed": True, "skipped": True, "msg": f"would run {name}"}
        timeout = float(args.get("timeout_seconds") or 30)
        hello = {key: args.get(key) or "" for key in ("host", "site")}
        hello |= {"config": args.get("config") or {}, "operation": args.get("operation"), "lifetime_seconds": timeout}
        request = {"id": 1, "verb": name, "args": args.get("args") or {}, "timeout_seconds": timeout}
        sources = conductor.host_sources()
        words = b"".join(
            [
                b"LPSE-DR %d\n" % len(sources),
                sources,
                json.dumps(hello).encode(),
                b"\n",
                json.dumps(request).encode(),
                b"\n",
            ]
        )
        # A variable of the play or the task arrives as it is written, with its braces.
        python = str(
            self._templar.template((task_vars or {}).get("ansible_python_interpreter") or "/usr/bin/python3")
        )
        command = shlex.join([python, "-u", "-c", conductor.BOOTSTRAP])
        done = self._low_level_execute_command(command, in_data=words, sudoable=True)
        if done["rc"] != 0:
            said = (done.get("stderr") or done.get("stdout") or "").strip().splitlines()
            found = said[-1] if said else f"exit {done['rc']}"
            error: dict[str, Any] = {
                "id": "host.failed",
                "expected": f"{name} to run",
                "found": found,
                "todo": "lpse-dr status",
                "data": {},
            }
            return {"failed": True, "changed": False, "msg": found, "module_stderr": found, "error": error}
        answer = read_answer(done["stdout"])
        if not answer["ok"]:
            error = answer["error"]
            report = {"kind": "error", "verb": name, "error": error}
            return {
                "failed": True,
                "changed": False,
                "msg": f"{error['id']}: expected {error['expected']}; found {error['found']}",
                "error": error,
                "lpse_dr": report,
            }
        result = answer["result"]
        found_reading = (
            {"reading": result["reading"], "lpse_dr": {"kind": "reading", "reading": result["reading"]}}
            if "reading" in result
            else {}
        )
        if "job_progress" in result:
            # Work that outlasts a question says how far it is; asked again and again, it makes a line that moves.
            found_reading["lpse_dr"] = {"kind": "job", **result["job_progress"]}
        return {"changed": bool(result.get("changed")), "result": result, **found_reading}
