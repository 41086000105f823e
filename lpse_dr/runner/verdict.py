"""How a run ended. Pure: what was observed goes in, the verdict comes out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..i18n import _

Event = dict[str, Any]

# Before the end of these nothing has been changed: guards run before the first change.
SAFE_PHASES = frozenset({"read", "guard", "guards"})


class Verdict(StrEnum):
    """The five ways in which a run ends."""

    COMPLETED = "COMPLETED"
    REFUSED = "REFUSED"
    ROLLED_BACK = "ROLLED_BACK"
    INCOMPLETE = "INCOMPLETE"
    UNKNOWN = "UNKNOWN"

    @property
    def exit_code(self) -> int:
        """Return the exit code that scripts rely on."""
        return {"COMPLETED": 0, "REFUSED": 3, "ROLLED_BACK": 4, "INCOMPLETE": 5, "UNKNOWN": 6}[self.value]


def error_of(identity: str, expected: str, found: str, next_command: str) -> dict[str, str]:
    """Return an error as the JSON envelope carries it."""
    return {"id": identity, "expected": expected, "found": found, "next_command": next_command}


@dataclass
class Facts:
    """What the events of a run have said so far."""

    phases: list[dict[str, Any]] = field(default_factory=list)
    verdict: Event | None = None
    guards: list[dict[str, Any]] = field(default_factory=list)
    changed: bool = False
    fired: bool = False
    undone: bool = False
    unreachable: dict[str, str] = field(default_factory=dict)
    failed: Event | None = None
    output: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take one event in."""
        kind = event.get("kind")
        if kind == "phase":
            self.phases.append({"phase": event.get("phase"), "title": event.get("title"), "at": event.get("at")})
        elif kind == "verdict":
            self.verdict = event
        elif kind == "guards":
            self.guards = list(event.get("guards") or [])
        elif kind == "fired":
            self.fired = True
        elif kind == "steps":
            self._steps(event)
        elif kind == "output":
            self.output.append(str(event.get("text", "")))
        elif kind == "task":
            self._task(event)

    def _steps(self, event: Event) -> None:
        self.fired = self.fired or bool(event.get("fired"))
        self.undone = bool(event.get("undone"))
        for step in event.get("steps") or []:
            result = step.get("result") or {}
            self.changed = self.changed or bool(step.get("ok") and result.get("changed"))

    def _task(self, event: Event) -> None:
        outcome = event.get("outcome")
        if outcome == "changed":
            self.changed = True
        elif outcome == "unreachable":
            self.unreachable[str(event.get("host"))] = str(event.get("message", ""))
        elif outcome == "failed" and not event.get("ignored"):
            self.failed = event

    @property
    def moved(self) -> bool:
        """Tell whether anything may have been changed."""
        later = any(str(item["phase"]).lower() not in SAFE_PHASES for item in self.phases)
        return self.fired or self.changed or later


_CAUSES = (
    (r"REMOTE HOST IDENTIFICATION|[Hh]ost key verification failed|no matching host key", "host.key_unknown"),
    (r"Permission denied \(|Too many authentication failures|no such identity", "host.login_refused"),
    (r"password is required|[Mm]issing sudo password|not in the sudoers|Incorrect sudo password", "host.no_sudo"),
    (r"[Dd]ecryption failed|no vault secrets|vault password", "vault.locked"),
    (r"No space left on device", "host.disk_full"),
)


def _cause(text: str, fallback: str) -> str:
    for pattern, identity in _CAUSES:
        if re.search(pattern, text):
            return identity
    return fallback


def _expected(identity: str) -> str:
    return {
        "host.key_unknown": _("the host key that known_hosts of the office vouches for"),
        "host.login_refused": _("a login as the inventory's user"),
        "host.no_sudo": _("sudo without a password, or --ask-become-pass"),
        "vault.locked": _("the vault's password (--vault-password-file)"),
        "host.disk_full": _("free space on the disk"),
        "host.unreachable": _("every host to be reachable"),
    }.get(identity, _("the operation to run to its end"))


def explain(facts: Facts, return_code: int | None) -> tuple[str, str]:
    """Return (id, what was found) of the most telling failure."""
    if facts.failed is not None:
        text = str(facts.failed.get("message") or "")
        where = f"{facts.failed.get('host')}: {facts.failed.get('task')}: "
        return _cause(text, "task.failed"), where + text
    if facts.unreachable:
        text = "; ".join(f"{host}: {message}" for host, message in sorted(facts.unreachable.items()))
        return _cause(text, "host.unreachable"), text
    if facts.output:
        text = " ".join(facts.output[:4])
        return _cause(text, "ansible.stopped"), text
    return "ansible.stopped", _("Ansible ended with code {code}").format(code=return_code)


def judge(facts: Facts, *, return_code: int | None, cancelled: bool, changes: bool, command: str) -> dict[str, Any]:
    """Return {verdict, changed, error, figures}.

    The playbook's own verdict counts. Where it gave none, a run that did not get past its guards
    changed nothing and is REFUSED; of any other nobody can tell from here: UNKNOWN.
    """
    said = facts.verdict
    if said is not None and said.get("verdict") in Verdict.__members__:
        verdict = Verdict(said["verdict"])
        error = said.get("error")
        if verdict is Verdict.COMPLETED and return_code != 0:
            # Something failed besides: of a change it is left to finish, of a reading it is not known.
            verdict = Verdict.INCOMPLETE if changes else Verdict.UNKNOWN
            identity, found = explain(facts, return_code)
            error = error_of(identity, _expected(identity), found, command)
        return {
            "verdict": verdict.value,
            "changed": bool(said.get("changed", facts.changed)),
            "error": error,
            "figures": said.get("figures") or {},
        }
    if return_code == 0 and not cancelled and not changes:
        return {"verdict": "COMPLETED", "changed": False, "error": None, "figures": {}}
    if cancelled:
        identity, found = "run.cancelled", _("it was cancelled")
    elif return_code == 0:
        identity, found = "run.no_verdict", _("it ended without a verdict")
    else:
        identity, found = explain(facts, return_code)
    safe = not changes or not facts.moved
    return {
        "verdict": (Verdict.REFUSED if safe else Verdict.UNKNOWN).value,
        "changed": False if safe else facts.changed or facts.fired,
        "error": error_of(identity, _expected(identity), found, command if safe else "lpse-dr status"),
        "figures": {},
    }
