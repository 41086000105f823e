"""Run a playbook and kill its whole tree at a chosen step, without racing against it.

The conductor announces every step on the record socket and waits for the answer. A test that owns the socket
therefore decides whether a step begins at all (``before``) or is under way when the kill comes (``during``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lpse_dr.content import content_root
from lpse_dr.lab.model import Lab


def children_of(pid: int) -> list[int]:
    """Return the whole tree below ``pid``, itself last, as /proc shows it now."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(folder.name))
    tree: list[int] = []

    def walk(parent: int) -> None:
        for child in parents.get(parent, []):
            walk(child)
        tree.append(parent)

    walk(pid)
    return tree


def kill_tree(process: subprocess.Popen[str]) -> None:
    """End a process and all below it with SIGKILL. Frozen first, so that none makes another meanwhile."""
    tree = children_of(process.pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in tree:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
    process.wait()


def playbook_argv(lab: Lab, name: str, extra: dict[str, Any]) -> list[str]:
    """Return the plain ansible-playbook command for an operation on a lab."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    argv = [program, "-i", str(lab.inventory), str(content_root() / "playbooks" / f"{name}.yml"), "-e", json.dumps(extra)]
    password = lab.office / "vault_password"
    return [*argv, "--vault-password-file", str(password)] if password.exists() else argv


def run_and_kill(lab: Lab, extra: dict[str, Any], step: str, moment: str) -> list[str]:
    """Run the switch-over and kill it at ``step``; return the steps that were announced before it.

    AssertionError when the run ended without ever coming to the step: then the test tested nothing.
    """
    seen: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lpse-dr-test-") as folder, socket.socket(socket.AF_UNIX) as server:
        path = f"{folder}/record.sock"
        server.bind(path)
        server.listen()
        server.settimeout(0.2)
        log = Path(folder, "log")
        with log.open("w") as stream:
            process = subprocess.Popen(
                playbook_argv(lab, "switchover", {**extra, "lpse_dr_record_socket": path}),
                stdout=stream, stderr=stream, text=True, start_new_session=True, cwd=content_root(),
                env={**os.environ, "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg")},
            )  # fmt: skip
        try:
            while True:
                try:
                    channel, _ = server.accept()
                except TimeoutError:
                    assert process.poll() is None, f"ended before step {step}: {log.read_text()[-3000:]}"
                    continue
                if _serve(channel, step, moment, seen):
                    return seen
        finally:
            kill_tree(process)


def _serve(channel: socket.socket, step: str, moment: str, seen: list[str]) -> bool:
    """Answer one conductor; True when the step was reached and it is time to kill."""
    with channel, channel.makefile("r") as lines:
        for line in lines:
            event = json.loads(line)
            if event["kind"] == "progress":
                seen.append(event["step"])
                if event["step"] == step:
                    if moment == "during":
                        channel.sendall(b"ok\n")
                        time.sleep(0.03)
                    return True
            channel.sendall(b"ok\n")
    return False
