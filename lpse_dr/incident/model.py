"""An incident as its journal tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..i18n import N_
from ..sop import Condition, Role, Step

LATIHAN = "LATIHAN"
"""The stamp on everything that belongs to a drill."""


class Kind(Enum):
    """Emergency, drill or maintenance."""

    DARURAT = "darurat"
    LATIHAN = "latihan"
    PEMELIHARAAN = "pemeliharaan"


class Phase(Enum):
    """How far the SOP's activities have come."""

    REPORTED = "reported"
    DECLARED = "declared"
    ORDERED = "ordered"
    RECOVERED = "recovered"
    RETURNING = "returning"
    ANALYSED = "analysed"
    CLOSED = "closed"
    DISMISSED = "dismissed"

    @property
    def ended(self) -> bool:
        """Tell whether nothing can follow."""
        return self in (Phase.CLOSED, Phase.DISMISSED)


BEFORE_RECOVERED = (Phase.REPORTED, Phase.DECLARED, Phase.ORDERED)
"""While these last, steps of the instruction can be done; afterwards the same operations lead back."""

PHASES = {
    Phase.REPORTED: N_("reported"),
    Phase.DECLARED: N_("declared"),
    Phase.ORDERED: N_("recovery ordered"),
    Phase.RECOVERED: N_("recovery reported"),
    Phase.RETURNING: N_("return ordered"),
    Phase.ANALYSED: N_("analysed"),
    Phase.CLOSED: N_("closed"),
    Phase.DISMISSED: N_("dismissed"),
}
"""What people read for a phase."""


class Progress(Enum):
    """How a step stands."""

    PENDING = "pending"
    ASKED = "asked"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"
    BY_HAND = "done_by_hand"
    SKIPPED = "skipped"
    NOT_NEEDED = "not_needed"

    @property
    def settled(self) -> bool:
        """Tell whether nothing more is to be done for it."""
        return self in (Progress.DONE, Progress.BY_HAND, Progress.SKIPPED, Progress.NOT_NEEDED)


@dataclass(frozen=True)
class Act:
    """A decision or a report that moves an incident on: an activity of the SOP."""

    name: str
    event: str
    activity: int
    role: Role
    before: tuple[Phase, ...]
    after: Phase


ACTS = {
    act.name: act
    for act in (
        Act("declare", "incident.declared", 3, Role.KOORDINATOR, (Phase.REPORTED,), Phase.DECLARED),
        Act("dismiss", "incident.dismissed", 3, Role.KOORDINATOR, (Phase.REPORTED,), Phase.DISMISSED),
        Act("order", "incident.ordered", 4, Role.KOORDINATOR, (Phase.DECLARED,), Phase.ORDERED),
        Act("recovered", "incident.recovered", 7, Role.TIM, (Phase.ORDERED,), Phase.RECOVERED),
        Act("return", "incident.returned", 8, Role.KOORDINATOR, (Phase.RECOVERED,), Phase.RETURNING),
        # Again, as long as it is not closed: an analysis can be completed.
        Act("analyse", "incident.analysed", 9, Role.TIM, (Phase.RETURNING, Phase.ANALYSED), Phase.ANALYSED),
        Act("close", "incident.closed", 10, Role.KOORDINATOR, (Phase.ANALYSED,), Phase.CLOSED),
    )
}
"""The whole state machine: what may follow what, and whose it is."""


@dataclass(frozen=True)
class Done:
    """An act that was recorded. `ordered_by` is who decided, where another typed; `awaiting` until that one confirms."""

    act: str
    n: int
    at: str
    by: Mapping[str, str]
    text: str = ""
    ordered_by: str = ""
    via: str = ""
    awaiting: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BreakGlass:
    """An authority check that was passed by force: who, why, what was refused; the analysis answers it."""

    n: int
    at: str
    by: Mapping[str, str]
    act: str
    reason: str
    refused: str
    answer: str = ""


@dataclass(frozen=True)
class StepStatus:
    """A step and how it stands. `waits_for` names the life-safety step that must be settled first, "" for none."""

    step: Step
    progress: Progress = Progress.PENDING
    at: str = ""
    name: str = ""
    note: str = ""
    run: str = ""
    verdict: str = ""
    answer: bool | None = None
    waits_for: str = ""


@dataclass(frozen=True)
class Incident:
    """The state of one record. `condition` is None for maintenance."""

    id: str
    kind: Kind
    phase: Phase
    opened_at: str
    condition: Condition | None = None
    name: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    done: tuple[Done, ...] = ()
    steps: tuple[StepStatus, ...] = ()
    broken_glass: tuple[BreakGlass, ...] = ()

    @property
    def drill(self) -> bool:
        """Tell whether everything of it is stamped LATIHAN."""
        return self.kind is Kind.LATIHAN

    def last(self, act: str) -> Done | None:
        """Return the last record of an act."""
        return next((item for item in reversed(self.done) if item.act == act), None)

    def step(self, step_id: str) -> StepStatus | None:
        """Return a step's status."""
        return next((item for item in self.steps if item.step.id == step_id), None)

    @property
    def open_steps(self) -> tuple[StepStatus, ...]:
        """The steps that are not settled, in order."""
        return tuple(item for item in self.steps if not item.progress.settled)

    @property
    def awaiting(self) -> tuple[Done, ...]:
        """Orders that wait for the confirmation of who gave them."""
        return tuple(item for item in self.done if item.awaiting)

    @property
    def unanswered(self) -> tuple[BreakGlass, ...]:
        """What was passed by force and is not answered yet."""
        return tuple(item for item in self.broken_glass if not item.answer)

    @property
    def turn(self) -> tuple[Role, int, str] | None:
        """Whose turn it is, at which activity, and the command; None once it has ended."""
        if self.kind is Kind.PEMELIHARAAN or self.phase.ended:
            return None
        if self.phase is Phase.ORDERED and self.open_steps:
            return Role.TIM, 6, "respond"
        act = next(act for act in ACTS.values() if act.before[0] is self.phase)
        return act.role, act.activity, f"incident {act.name}"
