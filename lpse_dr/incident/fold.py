"""From the events of a journal to the state of its incident. Pure: the same events always tell the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..sop import Condition, Sop
from .model import ACTS, BEFORE_RECOVERED, BreakGlass, Done, Incident, Kind, Phase, Progress, StepStatus

Event = Mapping[str, Any]
_BY_EVENT = {act.event: act for act in ACTS.values()}


def fold(record: str, events: Iterable[Event], sop: Sop) -> Incident:
    """Return the incident that these events tell; `record` is its id. Unknown events are passed over."""
    state: Incident | None = None
    for event in events:
        kind, data = str(event.get("kind")), event.get("data") or {}
        if state is None:
            state = _opened(record, event, data, sop)
            continue
        if data.get("break_glass"):
            state = _glass_broken(state, event, data)
        if kind in _BY_EVENT:
            state = _act(state, event, data)
        elif kind == "incident.confirmed":
            confirmed = int(data.get("confirms") or 0)
            done = tuple(replace(item, awaiting=False) if item.n == confirmed else item for item in state.done)
            state = replace(state, done=done)
        elif kind.startswith("step.") or kind in ("run.requested", "run.finished"):
            state = replace(state, steps=_steps(state, kind, event, data))
    if state is None:
        state = Incident(record, Kind.PEMELIHARAAN, Phase.REPORTED, "")
    return replace(state, steps=_waiting(state))


def _opened(record: str, event: Event, data: Mapping[str, Any], sop: Sop) -> Incident:
    at = str(event.get("at"))
    if event.get("kind") != "incident.reported":
        return Incident(record, Kind.PEMELIHARAAN, Phase.REPORTED, at, report=data)
    word = str(data.get("condition"))
    # What an office has taken out of its files meanwhile is still an incident, without an instruction.
    condition = sop.condition(word) or Condition(word, word, word, ())
    kind = Kind.LATIHAN if data.get("type") == Kind.LATIHAN.value else Kind.DARURAT
    steps = tuple(StepStatus(step, _first(step.only_if is not None)) for step in condition.steps)
    opened = Incident(record, kind, Phase.REPORTED, at, condition, str(data.get("name") or ""), data, (), steps)
    return _glass_broken(opened, event, data) if data.get("break_glass") else opened


def _first(asked: bool) -> Progress:
    return Progress.ASKED if asked else Progress.PENDING


def _act(state: Incident, event: Event, data: Mapping[str, Any]) -> Incident:
    act = _BY_EVENT[str(event.get("kind"))]
    done = Done(
        act.name,
        int(event.get("n") or 0),
        str(event.get("at")),
        event.get("by") or {},
        str(data.get("text") or ""),
        str(data.get("ordered_by") or ""),
        str(data.get("via") or ""),
        bool(data.get("awaiting")),
        data,
    )
    answers = data.get("answers") or {}
    glass = tuple(
        replace(item, answer=str(answers[str(item.n)])) if answers.get(str(item.n)) else item
        for item in state.broken_glass
    )
    return replace(state, phase=act.after, done=(*state.done, done), broken_glass=glass)


def _glass_broken(state: Incident, event: Event, data: Mapping[str, Any]) -> Incident:
    kind = str(event.get("kind"))
    act = _BY_EVENT[kind].name if kind in _BY_EVENT else kind
    broken = BreakGlass(
        int(event.get("n") or 0),
        str(event.get("at")),
        event.get("by") or {},
        f"{act} {data['step']}" if data.get("step") else act,
        str(data["break_glass"]),
        str(data.get("refused") or ""),
    )
    return replace(state, broken_glass=(*state.broken_glass, broken))


# --- steps --------------------------------------------------------------------------------------


def _steps(state: Incident, kind: str, event: Event, data: Mapping[str, Any]) -> tuple[StepStatus, ...]:
    return tuple(
        _step(status, kind, event, data) if _meant(state, status, kind, data) else status for status in state.steps
    )


def _meant(state: Incident, status: StepStatus, kind: str, data: Mapping[str, Any]) -> bool:
    """Tell whether an event is about a step: by its id, its run, or an operation that was started directly."""
    if kind == "run.finished":
        return bool(data.get("run")) and status.run == data.get("run")
    if data.get("step"):
        return bool(status.step.id == data.get("step"))
    # Once the recovery is reported, the same operation leads back; it is no step of the instruction any more.
    operations = [choice.id for choice in status.step.kind.operations]
    return kind == "run.requested" and state.phase in BEFORE_RECOVERED and data.get("operation") in operations


def _step(status: StepStatus, kind: str, event: Event, data: Mapping[str, Any]) -> StepStatus:
    by = event.get("by") or {}
    name = str(data.get("name") or by.get("name") or by.get("user") or "")
    told: dict[str, Any] = {
        "at": str(data.get("at") or event.get("at")),
        "name": name,
        "note": str(data.get("note") or ""),
    }
    if kind == "step.answered":
        needed = bool(data.get("answer"))
        return replace(status, progress=Progress.PENDING if needed else Progress.NOT_NEEDED, answer=needed, **told)
    if kind == "step.done":
        return replace(status, progress=Progress.DONE if status.step.manual else Progress.BY_HAND, verdict="", **told)
    if kind == "step.skipped":
        return replace(status, progress=Progress.SKIPPED, verdict="", **told)
    if kind == "run.requested":
        return replace(status, progress=Progress.RUNNING, run=str(data.get("run")), verdict="", **told)
    if kind == "run.finished":
        verdict = str(data.get("verdict") or "")
        done = Progress.DONE if verdict == "COMPLETED" else Progress.FAILED
        return replace(status, progress=done, verdict=verdict, at=str(event.get("at")))
    return status


def _waiting(state: Incident) -> tuple[StepStatus, ...]:
    """Technical steps wait for the life-safety steps of their instruction."""
    first = [item for item in state.steps if item.step.kind.life_safety and item.progress is not Progress.DONE]
    if not first:
        return state.steps
    return tuple(
        item if item.step.manual or item.progress.settled else replace(item, waits_for=first[0].step.id)
        for item in state.steps
    )
