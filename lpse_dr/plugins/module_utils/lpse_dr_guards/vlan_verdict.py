"""How an isolation or a release ended: from what happened and what was read last to one of the verdicts. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from .base import names
from .model import GuardResult
from .vlan import _guard, is_isolated, is_released, judge_isolation, matrix, passage, what_holds
from .vlan_model import Border

Ended = Dict[str, Any]


def ended(border: Border, facts: Dict[str, Any]) -> Ended:
    """Return {verdict, moved, error, figures}. Only what was read at the end makes COMPLETED."""
    failure, judged, acted = facts.get("failure") or {}, facts.get("judged") or {}, facts.get("acted") or {}
    answers = acted.get("answers") or {}
    touched = sorted({*(answers.get("arm") or {}), *(answers.get("release") or {})})
    if failure:
        return _failed(facts, failure, judged, touched)
    if facts.get("plan_only"):
        return _end("COMPLETED", False, None, {"level": (judged.get("plan") or {}).get("level") or "release"})
    if facts.get("purpose") == "release":
        return _released(border, facts, judged, answers, touched)
    return _isolated(border, facts, judged, answers, touched)


def _end(verdict: str, moved: bool, error: Optional[Dict[str, Any]], figures: Dict[str, Any]) -> Ended:
    return {"verdict": verdict, "moved": moved, "error": error, "figures": figures}


def error_of(guards: List[GuardResult]) -> Optional[Dict[str, Any]]:
    """Return the first that does not hold as a verdict's error."""
    return next(({**guard.as_dict(), "id": guard.guard_id} for guard in guards if not guard.ok), None)


def _failed(facts: Dict[str, Any], failure: Dict[str, Any], judged: Dict[str, Any], touched: List[str]) -> Ended:
    result = failure.get("result") or {}
    refused = result.get("refused") or []
    error: Dict[str, Any] = (
        {**refused[0], "id": refused[0]["guard_id"]}
        if refused
        else result.get("error")
        or {
            "id": "run.failed",
            "expected": failure.get("task"),
            "found": str(result.get("msg") or "no message"),
            "todo": "lpse-dr vlan status",
        }
    )
    if not touched:
        return _end("REFUSED", False, error, {})
    before = judged.get("readings") or {}
    after = {host: answer.get("reading") for host, answer in _step(facts.get("restored"), "read").items()}
    restored = [host for host in touched if after.get(host) and _same(before.get(host) or {}, after[host])]
    verdict = "ROLLED_BACK" if restored == touched else "INCOMPLETE"
    return _end(verdict, True, error, {"restored": restored})


def _same(before: Dict[str, Any], after: Dict[str, Any]) -> bool:
    """Tell whether a gateway has again what it had, with no clock running."""
    old, new = before.get("vlan") or {}, after.get("vlan") or {}
    ids = [((one.get("nftables") or {}).get("isolation") or {}).get("id") for one in (old, new)]
    # What was unconfirmed before is not brought back: its own clock would have ended it.
    was = ids[0] if not old.get("undo_armed") else (old.get("kept") or {}).get("id")
    return ids[1] == was and new.get("undo_armed") is False and old.get("kept") == new.get("kept")


def _step(result: Any, name: str) -> Dict[str, Any]:
    return dict(((result or {}).get("answers") or {}).get(name) or {})


def _readings(*results: Any) -> Dict[str, Any]:
    """Return the last reading of each host: later results outrank earlier ones."""
    found: Dict[str, Any] = {}
    for result in results:
        for host, answer in _step(result, "read").items():
            if isinstance(answer.get("reading"), dict):
                found[host] = answer["reading"]
    return found


def _left(border: Border, good: List[str], *sources: Any) -> Dict[str, str]:
    """Return why each gateway that a program drives is not among the good ones."""
    words: Dict[str, str] = {}
    for source in sources:
        for host, why in (source or {}).items():
            words[host] = str(why.get("found") if isinstance(why, dict) else why)
    driven = [name for name, provider in border.gateways.items() if provider != "manual"]
    return {name: words.get(name, "read otherwise") for name in driven if name not in good}


def _manual(judged: Dict[str, Any]) -> GuardResult:
    manual = judged.get("manual") or []
    return _guard("vlan.done_by_hand", "", not manual, gateways=names(manual))


def _isolated(
    border: Border, facts: Dict[str, Any], judged: Dict[str, Any], answers: Dict[str, Any], touched: List[str]
) -> Ended:
    identity = judged["plan"]["id"]
    acted, proof, confirmed = (facts.get(key) or {} for key in ("acted", "proof", "confirmed"))
    last = _readings(proof, confirmed)
    good = sorted(host for host, reading in last.items() if is_isolated(reading, identity))
    left = _left(border, good, judged.get("silent"), acted.get("left"), proof.get("left"), confirmed.get("left"))
    cells = (facts.get("proven") or {}).get("cells") or []
    isolated = facts.get("isolated") or []
    wished = judge_isolation(border, isolated, good, left, judged.get("cells") or [], cells)[1]
    loads = list((answers.get("load") or {}).values())
    figures: Dict[str, Any] = {"level": judged["plan"]["level"], "segments": isolated, "gateways": good}
    if loads:
        figures["apart_seconds"] = round(max(one["loaded"] for one in loads) - min(one["at"] for one in loads), 3)
        figures["connections_ended"] = sum(one["connections_ended"] for one in loads)
    error = error_of([*wished, _manual(judged)])
    driven = [provider for provider in border.gateways.values() if provider != "manual"]
    lost_all = bool(touched) and bool(driven) and not good
    verdict = "UNKNOWN" if lost_all else "INCOMPLETE" if error else "COMPLETED"
    return _end(verdict, bool(touched or judged.get("manual")), error, figures)


def _released(
    border: Border, facts: Dict[str, Any], judged: Dict[str, Any], answers: Dict[str, Any], touched: List[str]
) -> Ended:
    acted, proof = facts.get("acted") or {}, facts.get("proof") or {}
    last = _readings(proof)
    good = sorted(host for host, reading in last.items() if is_released(reading))
    left = _left(border, good, judged.get("silent"), acted.get("left"), proof.get("left"))
    words = "; ".join("%s: %s" % pair for pair in sorted(left.items()))
    released = _guard("vlan.gateway_released", "", not left, gateways=words or "none")
    error = error_of([released, _manual(judged)])
    before = judged.get("readings") or {}
    kept = [host for host in good if host in before and _rest(before[host]) == _rest(last[host])]
    measured = {host: answer.get("paths") or [] for host, answer in _step(proof, "probe").items()}
    figures = {
        "gateways": good, "other_rules_unchanged": kept == [host for host in good if host in before],
        "unexpected_paths": mismatches(matrix(border, [], measured)),
    }  # fmt: skip
    changed = any(one.get("changed") for one in (answers.get("release") or {}).values())
    return _end("INCOMPLETE" if error else "COMPLETED", changed or bool(judged.get("manual")), error, figures)


def _rest(reading: Dict[str, Any]) -> Any:
    return ((reading.get("vlan") or {}).get("nftables") or {}).get("rest_sha256")


def mismatches(cells: List[Dict[str, Any]]) -> List[str]:
    """Return what was measured otherwise than expected: "a > b open"."""
    return [
        "%s > %s %s" % (cell["from"], cell["to"], passage(cell))
        for cell in cells
        if cell["expected"] is not None and passage(cell) not in (None, cell["expected"])
    ]


def look(
    border: Border, readings: Dict[str, Any], silent: Dict[str, str], measured: Dict[str, Any]
) -> Tuple[Dict[str, Any], str, Optional[Dict[str, Any]]]:
    """Return (what a screen shows, verdict, error) of a look at everything."""
    level, holding = what_holds(border, readings)
    cells = matrix(border, holding, measured)
    gateways = [_gateway(name, provider, readings.get(name), silent) for name, provider in border.gateways.items()]
    shown = {
        "level": level,
        "isolated": holding,
        "gateways": gateways,
        "cells": cells,
        "unexpected": mismatches(cells),
    }
    words = "; ".join("%s: %s" % pair for pair in sorted(silent.items())) or "none"
    answered = _guard("vlan.gateway_reachable", "", not silent, gateways=names(sorted(border.gateways)), answer=words)
    if silent:
        return shown, "UNKNOWN", error_of([answered])
    apart = {host: "isolates nothing" for host, reading in readings.items() if holding and is_released(reading)}
    leaks = [words for words in mismatches(cells) if words.endswith(" open") and holding]
    acting = [host for host in readings if host not in apart]
    found = judge_isolation(border, holding, acting, apart, [], cells)[1][:2] if holding else []
    error = error_of(found)
    return {**shown, "leaks": leaks}, "INCOMPLETE" if error else "COMPLETED", error


def _gateway(name: str, provider: str, reading: Optional[Dict[str, Any]], silent: Dict[str, str]) -> Dict[str, Any]:
    vlan = (reading or {}).get("vlan") or {}
    isolation = (vlan.get("nftables") or {}).get("isolation") or {}
    saved = (((reading or {}).get("state") or {}).get("saved") or {}).get("vlan") or {}
    return {
        "name": name, "provider": provider, "answers": reading is not None, "level": isolation.get("level"),
        "confirmed": (vlan.get("kept") or {}).get("id") == isolation.get("id") if isolation else None,
        "undo_armed": vlan.get("undo_armed"), "dropped_packets": sum((isolation.get("dropped") or {}).values()),
        "found": silent.get(name) or "", "undo_until": saved.get("until"),
    }  # fmt: skip


def confirm(
    border: Border, isolated: List[str], statement: str,
    readings: Dict[str, Any], silent: Dict[str, str], measured: Dict[str, Any],
) -> Tuple[str, Optional[Dict[str, Any]]]:  # fmt: skip
    """Judge what a person did by hand: his word, and every path as it must be now."""
    manual = [name for name, provider in border.gateways.items() if provider == "manual"]
    cells = matrix(border, isolated, measured)
    left = dict(silent)
    for name, reading in readings.items():
        if isolated and is_released(reading):
            left[name] = "isolates nothing"
        elif not isolated and not is_released(reading):
            left[name] = "still isolates"
    acting = [name for name in border.gateways if name not in left]
    words = "; ".join("%s: %s" % pair for pair in sorted(left.items())) or "none"
    found = [_guard("vlan.stated", "", bool(statement), gateways=names(manual))]
    if isolated:
        found += judge_isolation(border, isolated, acting, left, [], cells)[1]
    else:
        found.append(_guard("vlan.gateway_released", "", not left, gateways=words))
        wrong = mismatches(cells)
        found.append(_guard("vlan.as_expected", "", not wrong, paths=names(wrong)))
    error = error_of(found)
    return ("REFUSED" if error else "COMPLETED"), error
