"""How a check becomes a guard: its id, the stages it belongs to, and the hosts that it asks about."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

from .model import GuardResult, NoReading, Outcome, View
from .texts import sentences

Check = Callable[[View, str], Outcome]
STAGES = {"R": "ready", "C": "continue", "F": "finish", "D": "done", "B": "blocked"}
SCOPES: Dict[str, Callable[[View], List[str]]] = {
    "pair": lambda _view: [""],
    "source": lambda view: [view.source],
    "target": lambda view: [view.target],
    "databases": lambda view: view.hosts("database"),
    "all": lambda view: view.all_hosts,
    "source_applications": lambda view: view.hosts("application", view.from_site),
    "target_applications": lambda view: view.hosts("application", view.to_site),
    "applications": lambda view: view.hosts("application"),
    "gateways": lambda view: view.hosts("gateway"),
    "target_gateways": lambda view: view.hosts("gateway", view.to_site),
}


class Guard(NamedTuple):
    """One guard: asked in these stages, about these hosts."""

    guard_id: str
    stages: List[str]
    scope: str
    check: Check


REGISTRY: Dict[str, Guard] = {}


def guard(guard_id: str, stages: str, scope: str) -> Callable[[Check], Check]:
    """Register a check. ``stages`` are letters of STAGES; ``scope`` names the hosts it is asked about, one by one."""

    def register(check: Check) -> Check:
        REGISTRY[guard_id] = Guard(guard_id, [STAGES[letter] for letter in stages], scope, check)
        return check

    return register


def result(guard_id: str, host: str, outcome: Outcome, common: Dict[str, Any]) -> GuardResult:
    """Put the sentences to an outcome."""
    data = {**common, "host": host, **outcome.data}
    _, expected, found, todo = sentences(guard_id, data)
    return GuardResult(guard_id, outcome.ok, host, expected, found, todo, data)


def ask(entry: Guard, view: View, host: str) -> GuardResult:
    """Ask one guard about one host; what cannot be read fails it."""
    view.demanded = {}
    try:
        outcome = entry.check(view, host)
    except NoReading as missing:
        outcome = Outcome(False, {"missing": missing.path, "missing_host": missing.host})
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # A reading of a shape that nobody thought of is as bad as none, and must not end in a traceback.
        outcome = Outcome(
            False, {"missing": "%s (%s)" % (entry.guard_id, error), "missing_host": host or view.source}
        )
    common = {"from_site": view.from_site, "to_site": view.to_site, **view.demanded}
    return result(entry.guard_id, host, outcome, common)


def passes(ok: bool, **data: Any) -> Outcome:
    """Return an outcome with its values, each fit to stand in a sentence."""
    return Outcome(
        ok,
        {
            key: value if isinstance(value, (str, int, float, type(None))) else str(value)
            for key, value in data.items()
        },
    )


def names(values: List[Any]) -> str:
    """Return a list as one value of a sentence."""
    return ", ".join(str(value) for value in values) or "none"
