"""Tell a story about the lab `molecule`: playbooks run as a person would run them, between them the world breaks and heals.

One process for all of it, because each task of a play about this machine costs half a second. stdin is a list of steps:

    title: what the step is for
    ends: [{playbook, arguments, verdict, says}]   started together; each must end with its verdict, and say its words
    at: HOST, sh: COMMAND                          a shell on a host, as root
    power: "off" | "on", at: HOST                      as the world cuts and gives it
    vanish: HOST, when: {at: HOST, sh: COMMAND}    beside `ends`: cuts the power as soon as the command succeeds, while the
                                                   playbook runs; without `when` as soon as the host is claimed
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lpse_dr.lab import power
from lpse_dr.lab.model import load_lab

ROOT = Path(__file__).resolve().parents[2]
LAB = load_lab("molecule")
BIN = Path(sys.executable).parent
VERDICT = re.compile(r'"kind": "verdict", "verdict": "([A-Z_]+)"')
CLAIMED = """until grep -q '"open": true' /var/lib/lpse-dr/state.json; do sleep 0.05; done"""

Step = dict[str, Any]


class WrongError(Exception):
    """The story went otherwise."""


def shell(host: str, command: str) -> None:
    """Run a command on a host; WrongError when it fails."""
    done = subprocess.run(
        ["docker", "exec", LAB.hosts[host].container, "sh", "-c", command], capture_output=True, text=True, timeout=90
    )
    if done.returncode != 0:
        raise WrongError(f"{host}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def start(run: dict[str, Any]) -> subprocess.Popen[str]:
    """Start a playbook."""
    office = LAB.office
    words = [str(BIN / "ansible-playbook"), "-v", "-i", str(office / "inventory/hosts.yml"), "--vault-password-file", str(office / "vault_password"),
             f"playbooks/{run['playbook']}.yml", *run.get("arguments", [])]  # fmt: skip
    plain = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    return subprocess.Popen(
        words, cwd=ROOT, env=os.environ | plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def judge(run: dict[str, Any], output: str, code: int) -> None:
    """WrongError unless the playbook ended as expected, in its words and in its exit code."""
    said = VERDICT.findall(output)
    wanted = run["verdict"]
    missing = [words for words in run.get("says", []) if words not in output]
    if said[-1:] != [wanted] or (code == 0) != (wanted == "COMPLETED") or missing:
        raise WrongError(f"{run}: found {said[-1:]}, exit {code}, did not say {missing}\n{output}")


def play(step: Step) -> None:
    """Perform one step."""
    if "power" in step:
        {"off": power.power_off, "on": power.power_on}[step["power"]](LAB, step["at"])
    elif "sh" in step:
        shell(step["at"], step["sh"])
    cut = None
    if "vanish" in step:
        seen = step.get("when") or {"at": step["vanish"], "sh": CLAIMED}
        shell(seen["at"], "true")
        cut = threading.Thread(
            target=lambda: (shell(seen["at"], seen["sh"]), power.power_off(LAB, step["vanish"])), daemon=True
        )
        cut.start()
    runs = [(run, start(run)) for run in step.get("ends", [])]
    for run, process in runs:
        output, _ = process.communicate(timeout=120)
        judge(run, output, process.returncode)
    if cut is not None and power.is_on(LAB, step["vanish"]):
        raise WrongError(f"{step['vanish']} never vanished")


def main() -> int:
    """Tell it; say how long each step took."""
    for step in json.load(sys.stdin):
        began = time.monotonic()
        try:
            play(step)
        except (WrongError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{step['title']}: {error}\n")
            return 1
        sys.stdout.write(f"{time.monotonic() - began:5.1f} s  {step['title']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
