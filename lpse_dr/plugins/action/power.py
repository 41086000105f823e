"""Run the office's power fence: commands on this machine that end with 0 only when a host is off."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from typing import Any

from ansible.plugins.action import ActionBase


def record(path: str, event: dict[str, Any]) -> str:
    """Have the act recorded before it is done; return what kept it from being, "" where nothing did."""
    if not path:
        return ""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(5)
            channel.connect(path)
            channel.sendall(json.dumps(event).encode() + b"\n")
            answer = channel.recv(1024)
    except OSError as error:
        return str(error)
    return "" if answer == b"ok\n" else answer.decode("utf-8", "replace").strip() or "the recorder is gone"


def cut(argv: list[str], seconds: float) -> tuple[bool, str]:
    """Run one command; return whether it says that the host is off, and its last words."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no end within {seconds:g} s"
    except OSError as error:
        return False, str(error)
    words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1][:200]
    return done.returncode == 0, f"exit {done.returncode}: {words}"


class ActionModule(ActionBase):  # type: ignore[misc, unused-ignore] # Ansible ships no types
    """``commands`` is {host: {argv, seconds}}; all are run at once. Returns ``done`` {host: {ok, found}}; never fails.

    Whether what came of it is enough is for the guards to say.
    """

    _requires_connection = False
    _VALID_ARGS = frozenset(("commands", "record_socket"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Cut the power; under --check nothing is run."""
        super().run(tmp, task_vars)
        commands = json.loads(json.dumps(dict(self._task.args.get("commands") or {}), default=str))
        if self._task.check_mode:
            return {"changed": bool(commands), "done": {}}
        said = record(str(self._task.args.get("record_socket") or ""), {"kind": "power", "hosts": sorted(commands)})
        done: dict[str, dict[str, Any]] = {host: {"ok": False, "found": said} for host in commands}

        def act(host: str) -> None:
            ok, found = cut(
                [str(word) for word in commands[host]["argv"]], float(commands[host].get("seconds") or 20)
            )
            done[host] = {"ok": ok, "found": found}

        if not said:
            threads = [threading.Thread(target=act, args=(host,)) for host in commands]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return {"changed": any(item["ok"] for item in done.values()), "done": done}
