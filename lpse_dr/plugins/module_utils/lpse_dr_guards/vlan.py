"""Guards and judgement of an isolation. Pure functions over the inventory's words and what the gateways read."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, List, Optional, Tuple

from .base import names, passes, result
from .model import GuardResult
from .vlan_model import EARLIEST, NAMED, Border, exceptions, identity, networks_of, others_of


def order(border: Border, level: str, wanted: List[str]) -> List[GuardResult]:
    """Judge what was typed and what the inventory says; nothing was read for it."""
    known = names([*sorted(border.levels), NAMED])
    strangers = [name for name in wanted if name not in border.segments]
    fits = bool(wanted) == (level == NAMED)
    return [
        _guard("vlan.inventory", "", not border.problems, problems="; ".join(border.problems) or "none"),
        _guard("vlan.level_known", "", level in border.levels or level == NAMED, level=level or "none", levels=known),
        _guard("vlan.segments_named", "", fits or level not in (*border.levels, NAMED), level=level, found_names=names(wanted)),
        _guard("vlan.segment_known", "", not strangers, strangers=names(strangers), segments=names(sorted(border.segments))),
    ]  # fmt: skip


def _guard(guard_id: str, host: str, ok: bool, **data: Any) -> GuardResult:
    return result(guard_id, host, passes(ok, **data), {})


def gateways(border: Border, readings: Dict[str, Any], silent: Dict[str, str]) -> List[GuardResult]:
    """Judge the gateways: somebody must answer; whoever answers must have the means, and no table of a stranger."""
    driven = [name for name, provider in border.gateways.items() if provider != "manual"]
    reached = [name for name in driven if name in readings]
    answer = "; ".join("%s: %s" % pair for pair in sorted(silent.items())) or "none"
    found = [_guard("vlan.gateway_reachable", "", bool(reached) or not driven, gateways=names(driven), answer=answer)]
    for name in reached:
        vlan = readings[name].get("vlan")
        vlan = vlan if isinstance(vlan, dict) else {}
        nft = vlan.get("nftables")
        found.append(_guard("vlan.nftables_present", name, isinstance(nft, dict)))
        found.append(_guard("vlan.undo_possible", name, vlan.get("systemd_run") is True))
        isolation = (nft or {}).get("isolation")
        comment = str((isolation or {}).get("comment") or "none")
        own = isolation is None or isolation.get("own") is True
        found.append(_guard("vlan.table_free", name, isinstance(nft, dict) and own, comment=comment))
    return found


def management(
    border: Border, isolated: List[str], readings: Dict[str, Any], statement: str = ""
) -> List[GuardResult]:
    """Judge whether the operator stays connected, as far as the gateways see where he comes from.

    A statement of who knows the path better is believed: the undo watches over it.
    """
    kept = [ipaddress.ip_network(network) for item in border.always for network in item["from"]]
    found = []
    for name, reading in sorted(readings.items()):
        client = (reading.get("vlan") or {}).get("client")
        within = client == "local" or _within(client, kept)
        segment = next((one for one in isolated if _within(client, border.segments[one].networks)), "none")
        ok = within or bool(statement) or (bool(client) and not border.everything(isolated) and segment == "none")
        found.append(
            _guard("vlan.management_kept", name, ok, client=client or "unknown", kept=names(kept), segment=segment)
        )
    return found


def _within(client: Optional[str], networks: Any) -> bool:
    try:
        return bool(client) and any(ipaddress.ip_address(str(client)) in network for network in networks)
    except ValueError:
        return False


def plan(border: Border, level: str, wanted: List[str], readings: Dict[str, Any]) -> Dict[str, Any]:
    """Return everything that a provider's template needs, the same for every gateway, and ``id``, which stands for it."""
    isolated = border.isolated(level, wanted)
    driven = {name: (reading.get("vlan") or {}) for name, reading in readings.items() if name in border.gateways}
    addresses = [{"host": name, **item} for name, vlan in driven.items() for item in vlan.get("addresses") or []]
    hooks = [
        int(hook["priority"]) for vlan in driven.values() for hook in (vlan.get("nftables") or {}).get("hooks") or []
    ]
    networks = networks_of(border, isolated, addresses)
    rules: Dict[str, Any] = {
        "level": level, "segments": isolated, "everything": border.everything(isolated), "networks": networks,
        "rest": [name for name in isolated if border.segments[name].rest],
        "others": {str(version): others_of(border, version) for version in (4, 6)},
        "always": {str(version): exceptions(border.always, version) for version in (4, 6)},
        "priority": min([EARLIEST, *(priority - 10 for priority in hooks)]),
    }  # fmt: skip
    everywhere = rules["everything"] or bool(rules["rest"])
    return {
        **rules,
        "id": identity(rules),
        # Whose connections end: an empty list means everybody's.
        "ending": []
        if everywhere
        else [one for found in networks.values() for nets in found.values() for one in nets],
        "spared": sorted({network for item in border.always for network in item["from"]}),
    }


def is_isolated(reading: Dict[str, Any], identity_wanted: str) -> bool:
    """Tell whether a gateway has just these rules, confirmed, and would have them after a restart."""
    vlan = reading.get("vlan") or {}
    isolation, kept = (vlan.get("nftables") or {}).get("isolation") or {}, vlan.get("kept") or {}
    same = isolation.get("id") == identity_wanted == kept.get("id")
    return bool(same and kept.get("at_boot") is True and vlan.get("undo_armed") is False)


def is_released(reading: Dict[str, Any]) -> bool:
    """Tell whether a gateway has no isolation, now and after a restart."""
    vlan = reading.get("vlan") or {}
    nft = vlan.get("nftables")
    return isinstance(nft, dict) and nft.get("isolation") is None and vlan.get("kept") is None and vlan.get("undo_armed") is False  # fmt: skip


def what_holds(border: Border, readings: Dict[str, Any]) -> Tuple[str, List[str]]:
    """Return (level, isolated segments) as the gateways that answer have them; none, mixed or unconfirmed where they say so."""
    found = {}
    for name, reading in readings.items():
        isolation = ((reading.get("vlan") or {}).get("nftables") or {}).get("isolation") or {}
        found[name] = (str(isolation.get("level") or "none"), tuple(isolation.get("segments") or ()))
    if not found:
        return "unknown", []
    if len(set(found.values())) > 1:
        return "mixed", sorted({one for _level, segments in found.values() for one in segments})
    level, segments = next(iter(found.values()))
    if level in border.levels:
        segments = tuple(border.levels[level])
    return level, [one for one in segments if one in border.segments]


def matrix(border: Border, isolated: List[str], measured: Dict[str, List[Dict[str, Any]]]) -> List[Dict[str, Any]]:
    """Return a row for each ordered pair of segments: expected, and what TCP and ICMP came to; None where nobody measured."""
    cells: Dict[Tuple[str, str], Dict[str, Any]] = {}
    for one in border.segments:
        for other in border.segments:
            expected = border.expected(one, other, isolated)
            cells[one, other] = {"from": one, "to": other, "expected": expected, "tcp": None, "icmp": None}
    for paths in measured.values():
        for path in paths:
            cell = cells.get((path["from"], path["to"]))
            for way in ("tcp", "icmp") if cell else ():
                assert cell is not None
                cell[way] = "open" if "open" in (cell[way], path[way]) else path[way]
    return list(cells.values())


def passage(cell: Dict[str, Any]) -> Optional[str]:
    """Return open or closed as measured by either way; None where nobody measured."""
    ways = {cell["tcp"], cell["icmp"]} - {None}
    return "open" if "open" in ways else "closed" if ways else None


def judge_isolation(
    border: Border, isolated: List[str], acting: List[str], left: Dict[str, str],
    before: List[Dict[str, Any]], after: List[Dict[str, Any]],
) -> Tuple[List[GuardResult], List[GuardResult]]:  # fmt: skip
    """Return (what must hold for a confirmation, what is left open although the isolation holds).

    To cut what should stay is a reason to go back; a way that stayed open is none: with the isolation it is one, without
    it there are all of them.
    """
    was_open = {(cell["from"], cell["to"]) for cell in before if passage(cell) == "open"}
    # What a gateway led that was lost meanwhile is closed by that, and not by the isolation.
    lost = {name for name, segment in border.segments.items() if set(segment.gateways) & set(left)}
    cut = [
        _arrow(cell)
        for cell in after
        if cell["expected"] == "open" and passage(cell) == "closed" and (cell["from"], cell["to"]) in was_open
        and not {cell["from"], cell["to"]} & lost
    ]  # fmt: skip
    apart = [
        cell for cell in after if cell["from"] != cell["to"] and (cell["from"] in isolated or cell["to"] in isolated)
    ]
    unclosed = [_arrow(cell) for cell in apart if not border.closes(cell["from"], cell["to"], acting)]
    leaking = [_arrow(cell) for cell in apart if passage(cell) == "open" and _arrow(cell) not in unclosed]
    probed = {name for name, segment in border.segments.items() if segment.probe_host}
    reachable = {name for name, segment in border.segments.items() if segment.targets}
    blind = [_arrow(cell) for cell in apart if passage(cell) is None and cell["from"] in probed and cell["to"] in reachable]  # fmt: skip
    silent = "; ".join("%s: %s" % pair for pair in sorted(left.items())) or "none"
    return (
        [_guard("vlan.kept_open", "", not cut, paths=names(cut))],
        [
            _guard("vlan.gateway_isolated", "", not left, gateways=silent, paths=names(unclosed)),
            _guard("vlan.path_closed", "", not leaking, paths=names(leaking)),
            _guard("vlan.path_proven", "", not blind, paths=names(blind)),
        ],
    )


def _arrow(cell: Dict[str, Any]) -> str:
    return "%s > %s" % (cell["from"], cell["to"])
