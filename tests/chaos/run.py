"""One run: load, an operation, a fault at its moment; then heal, go on as the messages say, and look at everything."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from lpse_dr.errors import LabError
from lpse_dr.lab import power
from lpse_dr.lab.audit import AuditResult, audit, site_states
from lpse_dr.lab.check import front_door
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab

from ..e2e import reality
from ..e2e.conftest import Answer, lpse_dr, other
from ..e2e.killing import Stopped, kill_tree
from .faults import World, fault
from .schedule import CUTS_CONTACT, Schedule

WORD = "power cut by the harness"
SETTLE_SECONDS = 45.0
_VERDICT = re.compile(r'"verdict": "([A-Z_]+)"')


@dataclass
class Outcome:
    """What a run found. ``wrong`` is empty where every promise was kept."""

    seed: int
    what: str
    verdicts: list[str] = field(default_factory=list)
    lost: int = 0
    listed: int = 0
    both_writable_milliseconds: float = 0.0
    converged: bool = False
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a line of the record."""
        return asdict(self)


class Run:
    """The run of one schedule on a whole lab, which it leaves whole, or says that it could not."""

    def __init__(self, lab: Lab, schedule: Schedule) -> None:
        (self.source,) = reality.writable_sites(lab)
        self.target = other(self.source)
        self.lab, self.schedule = lab, schedule
        self.world = World(lab, self.source, self.target)
        self.outcome = Outcome(schedule.seed, f"{schedule.describe()}, {self.source} -> {self.target}")
        self._began = time.monotonic()

    def note(self, text: str) -> None:
        """Write a moment into the timeline, with what both sites are."""
        sites = ", ".join(f"{site} {state}" for site, state in sorted(site_states(self.lab).items()))
        self.outcome.timeline.append(f"{time.monotonic() - self._began:6.1f} s  {text}  [{sites}]")

    def do(self) -> Outcome:
        """Do it; whatever breaks in the harness itself is a wrong run, too."""
        try:
            if self.schedule.operation == "switchover":
                self._switchover()
            else:
                self._failover()
        except (AssertionError, LabError, OSError, ValueError) as error:
            self._wrong(f"the run broke: {error}")
        finally:
            with contextlib.suppress(LabError):
                self.world.heal()
        self.outcome.seconds = round(time.monotonic() - self._began, 1)
        return self.outcome

    def _wrong(self, text: str) -> None:
        self.outcome.wrong.append(text[:2000])
        with contextlib.suppress(LabError):
            self.note(f"WRONG: {text[:300]}")

    # --- a planned switch-over ---------------------------------------------------------------------------

    def _switchover(self) -> None:
        with LoadSession(self.lab, seconds=600, clients=2, patience_seconds=2) as load:
            time.sleep(2)
            self._stage("switchover", {"from_site": self.source, "to_site": self.target})
            self._heal()
            self._converge(["switchover", "--from", self.source, "--to", self.target])
            time.sleep(1)
            load.stop()
            result = load.collect()
        self._look()
        found = audit(self.lab, result.folder)
        self.outcome.lost = len(found.lost)
        if found.lost:
            self._wrong(f"lost: {found.lost[:3]}")
        self._never_both(found)

    def _stage(self, operation: str, extra: dict[str, Any]) -> None:
        """Play the operation to its step, let the fault happen then, and wait for the end of both."""
        plan = self.schedule
        try:
            run = Stopped(self.lab, extra, plan.step, operation)
        except AssertionError as refused:
            self._wrong(f"it never came to its step: {str(refused)[-600:]}")
            return
        with run:
            self.note(f"about to begin {plan.step}")
            if plan.fault == "kill_run":
                if plan.moment == "during":
                    run.go_on()
                    time.sleep(0.03)
                kill_tree(run.process)
                self.note("the run was killed")
                return
            if plan.moment == "before":
                fault(self.world, plan.fault, plan.frozen_seconds)
                run.go_on()
            else:
                # Side by side with the step: some faults take longer to make than the step takes.
                struck = threading.Thread(target=fault, args=(self.world, plan.fault, plan.frozen_seconds))
                struck.start()
                run.go_on()
                struck.join()
            self.note(f"{plan.fault}")
            code = run.wait()
            said = _VERDICT.findall(run.output())
            # Ansible prints the answer of a task that failed; of one that did not it says that it is ok.
            verdict = said[-1] if said else "none" if code else "COMPLETED"
        self.outcome.verdicts.append(verdict)
        self.note(f"it says {verdict}")
        self._true(verdict)

    def _true(self, verdict: str) -> None:
        """Hold a verdict against what is."""
        found = reality.writable_sites(self.lab)
        lied = (
            (verdict == "COMPLETED" and found == [self.source])
            or (verdict in ("ROLLED_BACK", "REFUSED") and self.schedule.operation == "switchover" and found == [self.target])
            or verdict == "none"
            or (verdict == "UNKNOWN" and self.schedule.fault not in CUTS_CONTACT)
        )  # fmt: skip
        if lied:
            self._wrong(f"verdict {verdict}, while writable is {found}")

    # --- a failover and the way home ---------------------------------------------------------------------

    def _failover(self) -> None:
        plan = self.schedule
        with LoadSession(self.lab, seconds=900, clients=2, patience_seconds=2) as load:
            time.sleep(2)
            if plan.alone_seconds:
                for kind in ("db", "app"):
                    power.cut_between(self.lab, f"{self.source}-{kind}", f"{self.target}-{kind}")
                time.sleep(plan.alone_seconds)
            self.world.lose(*[f"{self.source}-{kind}" for kind in ("db", "app", "gateway")])
            self.note(f"{self.source} is lost")
            self._stage(
                "failover",
                {"from_site": self.source, "to_site": self.target, "failover_statement": WORD},
            )
            if plan.fault in ("freeze_target_db", "lose_target_app", "no_ssh_target_db"):
                self._mend_target()
            self._converge(["failover", "--to", self.target, "--assume-primary-dead", WORD])
            time.sleep(1)
            load.stop()
            result = load.collect()
        lost = audit(self.lab, result.folder).lost
        self._never_both(audit(self.lab, result.folder))
        no_row = {item.receipt for item in lost if item.reason == "no_row"}
        no_file = {item.receipt for item in lost if item.reason != "no_row"}
        self.outcome.lost = len(lost)
        self._heal()
        self._come_home(no_row, no_file)

    def _mend_target(self) -> None:
        """The side that takes over is mended; the site that is lost stays lost."""
        lost = {f"{self.source}-{kind}" for kind in ("db", "app", "gateway")}
        self.world.heal()
        self.world.lose(*sorted(lost))
        time.sleep(3)

    def _come_home(self, no_row: set[str], no_file: set[str]) -> None:
        step = self.schedule.kill_failback_at
        if step:
            extra = {"from_site": self.target, "to_site": self.source, "failback_prepare_only": True}
            try:
                with Stopped(self.lab, extra, step, "failback") as run:
                    kill_tree(run.process)
                    self.note(f"the failback was killed before {step}")
            except AssertionError:
                self.note(f"the failback had no step {step}")
        answer = self._command(["failback", "--to", self.source])
        if answer.code != 0:
            answer = self._command(["failback", "--to", self.source])
        if answer.code != 0:
            self._wrong(f"the failback did not end: {answer.json.get('error')}")
            return
        items = answer.json.get("salvaged") or []
        self.outcome.listed = len(items)
        rows = {item["id"] for item in items if item["reason"] == "only"}
        missing = no_row - rows
        if missing and not step:
            self._wrong(f"lost and not listed: {sorted(missing)[:3]}")
        self.source, self.target = self.target, self.source
        self.outcome.converged = True
        self._look()

    # --- afterwards --------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.world.heal()
        self.note("everything is mended")
        ends = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < ends and len(reality.writable_sites(self.lab)) != 1:
            time.sleep(1)
        time.sleep(3)

    def _command(self, words: list[str]) -> Answer:
        answer = lpse_dr(
            f"--lab={self.lab.name}", "--output", "json", *words, "--yes", "--reason", "chaos", timeout=300
        )
        verdict = str(answer.json.get("verdict"))
        self.outcome.verdicts.append(verdict)
        error = answer.json.get("error") or {}
        self.note(f"{' '.join(words[:1])}: {verdict} {error.get('id', '')} {str(error.get('found', ''))[:200]}")
        if "Traceback" in answer.stderr + answer.stdout:
            self._wrong(f"a traceback: {answer.stderr[-800:]}")
        return answer

    def _converge(self, words: list[str]) -> None:
        """Type the same command again, or what the answer says, at most twice."""
        for _ in range(2):
            answer = self._command(words)
            if answer.code == 0:
                self.outcome.converged = True
                return
            said = str((answer.json.get("error") or {}).get("next_command") or "")
            if said.startswith("lpse-dr ") and " switchover " in f"{said} ":
                words = [
                    word for word in shlex.split(said)[1:] if not word.startswith("--lab") and word != self.lab.name
                ]
            time.sleep(10)
        self._wrong(f"not converged: {json.dumps(answer.json.get('error'))[:800]}")

    def _look(self) -> None:
        """One writable site, a service through both front doors, nothing left behind."""
        writable: list[str] = []
        left: dict[str, Any] = {}
        doors: dict[str, str] = {}
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            writable = reality.writable_sites(self.lab)
            left = reality.leftovers(self.lab, writable[0]) if len(writable) == 1 else {}
            doors = {site: front_door(self.lab, site)[:3] for site in ("pdc", "drc")}
            if len(writable) == 1 and not left and set(doors.values()) == {"200"}:
                return
            time.sleep(1)
        self._wrong(f"writable {writable}, front doors {doors}, left behind {left}")

    def _never_both(self, found: AuditResult) -> None:
        self.outcome.both_writable_milliseconds = max(
            found.both_writable_milliseconds or 0.0, found.log_both_writable_milliseconds or 0.0
        )
        if self.outcome.both_writable_milliseconds:
            self._wrong(f"both writable for {self.outcome.both_writable_milliseconds} ms")
