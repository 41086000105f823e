"""Target against achieved: how long the service was away, and how much was lost, against what the office promises."""

from __future__ import annotations

from dataclasses import dataclass

from ..office import Limits
from .model import Incident, Progress
from .times import moment

RELOCATE = "service.relocate"


@dataclass(frozen=True)
class Figure:
    """One target. `achieved_seconds` is None where nobody has said it: unknown is no success."""

    name: str
    target_seconds: int
    achieved_seconds: float | None
    final: bool

    @property
    def met(self) -> bool | None:
        """Tell whether the target was kept; None while it is open or not known."""
        if self.achieved_seconds is None:
            return None
        if self.achieved_seconds > self.target_seconds:
            return False
        return True if self.final else None


def service_back(incident: Incident) -> str:
    """Return when the step that moves the service was done, "" where that did not happen."""
    status = incident.step(RELOCATE)
    return status.at if status and status.progress in (Progress.DONE, Progress.BY_HAND) else ""


def figures(incident: Incident, limits: Limits, now: str) -> tuple[Figure, ...]:
    """Return recovery time, maximum outage and loss of data. Both times count from the event to the working service."""
    happened = str(incident.report.get("happened_at") or "")
    if not happened:
        return ()
    report = incident.last("recovered")
    told = report.data if report else {}
    end = str(told.get("service_at") or "") if report else service_back(incident) or now
    if told.get("no_outage"):
        outage: float | None = 0.0
    else:
        outage = max((moment(end) - moment(happened)).total_seconds(), 0.0) if end else None
    lost = told.get("lost_seconds")
    return (
        Figure("rto", limits.rto_seconds, outage, report is not None),
        Figure("mtd", limits.mtd_seconds, outage, report is not None),
        Figure("rpo", limits.rpo_seconds, float(lost) if lost is not None else None, report is not None),
    )
