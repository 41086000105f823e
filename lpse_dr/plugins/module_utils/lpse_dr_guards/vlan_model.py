"""The borders of an office as its inventory tells them: segments, gateways, levels, and what is never cut."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

NAMED = "segment"
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# What belongs to no segment and must not pass for "the rest": this host, link-local, multicast, broadcast.
_NOBODYS = {
    4: ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
    6: ("::/128", "::1/128", "fe80::/10", "ff00::/8"),
}
# Earlier than any priority that nftables or iptables have a name for, the connection tracking's among them.
EARLIEST = -450


class Segment(NamedTuple):
    """One segment. ``rest``: whoever is in no other segment, as the public side is."""

    name: str
    networks: Tuple[Any, ...]
    gateways: Tuple[str, ...]
    rest: bool
    probe_host: str
    targets: Tuple[Tuple[str, int], ...]


class Border(NamedTuple):
    """The inventory's part, checked: ``problems`` says in words what cannot be meant."""

    segments: Dict[str, Segment]
    gateways: Dict[str, str]
    levels: Dict[str, List[str]]
    always: List[Dict[str, Any]]
    paths: List[Tuple[str, str]]
    problems: List[str]

    def isolated(self, level: str, names: List[str]) -> List[str]:
        """Return the segments that a level isolates."""
        return sorted(names) if level == NAMED else list(self.levels.get(level, []))

    def everything(self, isolated: List[str]) -> bool:
        """Tell whether nothing is left that may talk to anything."""
        return set(isolated) == set(self.segments)

    def expected(self, one: str, other: str, isolated: List[str]) -> Optional[str]:
        """Return open or closed; None within a segment: what passes no gateway is not kept apart, and nobody's statement."""
        if one == other and (one in isolated or (one, one) not in self.paths):
            return None
        if one in isolated or other in isolated:
            return "closed"
        return "open" if (one, other) in self.paths else "closed"

    def closes(self, one: str, other: str, acting: List[str]) -> bool:
        """Tell whether these gateways together close every way between two segments."""
        first, second = self.segments[one].gateways, self.segments[other].gateways
        common = [gateway for gateway in first if gateway in second]
        if common:
            return all(gateway in acting for gateway in common)
        return all(gateway in acting for gateway in first) or all(gateway in acting for gateway in second)

    def probes(self, isolated: List[str], acting: List[str]) -> Dict[str, List[Dict[str, Any]]]:
        """Return what each probing host tries: {from, to, address, port, want}. Only what somebody answers for is wanted."""
        found: Dict[str, List[Dict[str, Any]]] = {}
        for one in self.segments.values():
            if not one.probe_host:
                continue
            for other in self.segments.values():
                if one is other and (one.name, one.name) not in self.paths:
                    continue
                want = self.expected(one.name, other.name, isolated)
                apart = one.name in isolated or other.name in isolated
                if want == "closed" and apart and not self.closes(one.name, other.name, acting):
                    want = None
                for address, port in other.targets:
                    path = {"from": one.name, "to": other.name, "address": address, "port": port, "want": want}
                    found.setdefault(one.probe_host, []).append(path)
        return found


def read_border(data: Dict[str, Any]) -> Border:
    """Read the role's variables. Nothing is raised: what is wrong stands in ``problems``."""
    problems: List[str] = []
    segments: Dict[str, Segment] = {}
    hosts = set(data.get("hosts") or [])
    gateways = {str(item["name"]): str(item.get("provider") or "nftables") for item in data.get("gateways") or []}
    for item in data.get("segments") or []:
        segment = _segment(item, problems)
        if segment.name in segments or not _WORD.fullmatch(segment.name):
            problems.append("segment %r: not a name of its own" % segment.name)
        segments[segment.name] = segment
        strangers = [name for name in segment.gateways if name not in gateways]
        if strangers or not segment.gateways:
            problems.append("segment %s: gateways %s" % (segment.name, ", ".join(strangers) or "none"))
        if segment.probe_host and segment.probe_host not in hosts:
            problems.append("segment %s: no host %s" % (segment.name, segment.probe_host))
    _overlaps(segments, problems)
    levels = _levels(data.get("levels") or [], segments, problems)
    always = [_exception(item, problems) for item in data.get("always") or []]
    if not always:
        problems.append("nothing is always reachable: management is missing")
    paths = [(str(item["from"]), str(to)) for item in data.get("paths") or [] for to in item["to"]]
    problems += ["path %s - %s: no such segment" % pair for pair in paths if not set(pair) <= set(segments)]
    if not segments or not gateways:
        problems.append("no segments or no gateways")
    return Border(segments, gateways, levels, always, paths, problems)


def _segment(item: Dict[str, Any], problems: List[str]) -> Segment:
    name = str(item.get("name"))
    targets = tuple((str(target["address"]), int(target["port"])) for target in item.get("targets") or [])
    found = Segment(
        name, _networks(item.get("networks"), name, problems), tuple(str(gateway) for gateway in item.get("gateways") or []),
        item.get("rest") is True, str(item.get("probe_host") or ""), targets,
    )  # fmt: skip
    if not found.networks and not found.rest:
        problems.append("segment %s: no networks" % name)
    return found


def _networks(values: Any, name: str, problems: List[str]) -> Tuple[Any, ...]:
    found = []
    for value in values or []:
        try:
            found.append(ipaddress.ip_network(str(value)))
        except ValueError as error:
            problems.append("%s: %s" % (name, error))
    return tuple(found)


def _overlaps(segments: Dict[str, Segment], problems: List[str]) -> None:
    listed = list(segments.values())
    for position, one in enumerate(listed):
        for other in listed[position + 1 :]:
            pairs = [(a, b) for a in one.networks for b in other.networks if a.version == b.version]
            problems += ["%s and %s overlap: %s" % (one.name, other.name, a) for a, b in pairs if a.overlaps(b)]


def _levels(items: List[Dict[str, Any]], segments: Dict[str, Segment], problems: List[str]) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for item in items:
        name, wanted = str(item.get("name")), item.get("segments")
        if name == NAMED or not _WORD.fullmatch(name):
            problems.append("level %r: this name cannot be used" % name)
            continue
        found[name] = sorted(segments) if item.get("all_segments") is True else [str(one) for one in wanted or []]
        strangers = [one for one in found[name] if one not in segments]
        if strangers or not found[name]:
            problems.append("level %s: segments %s" % (name, ", ".join(strangers) or "none"))
    return found


def _exception(item: Dict[str, Any], problems: List[str]) -> Dict[str, Any]:
    name = str(item.get("name"))
    return {
        "name": name,
        "from": [str(network) for network in _networks(item.get("from"), name, problems)],
        "to": [str(network) for network in _networks(item.get("to"), name, problems)],
        "protocol": str(item.get("protocol") or "any"),
        "ports": [int(port) for port in item.get("ports") or []],
    }


def exceptions(always: List[Dict[str, Any]], version: int) -> List[Dict[str, Any]]:
    """Return the exceptions of one protocol family, as a template writes them: lists of networks as text."""
    found = []
    for item in always:
        sides = {side: _of(item[side], version) for side in ("from", "to")}
        # A side that is named, but has no address of this family, has no exception in it.
        if sides["from"] and (sides["to"] or not item["to"]):
            found.append({**item, **sides})
    return found


def networks_of(
    border: Border, isolated: List[str], addresses: List[Dict[str, Any]]
) -> Dict[str, Dict[str, List[str]]]:
    """Return by isolated segment its networks, {"4": …, "6": …}.

    What a gateway's own interface there has besides belongs to it too, unless it is somebody else's: an IPv6 prefix that
    nobody wrote down would stay a way out.
    """
    taken = [network for segment in border.segments.values() for network in segment.networks]
    taken += [ipaddress.ip_network(network) for item in border.always for network in item["from"] + item["to"]]
    found: Dict[str, Dict[str, List[str]]] = {}
    for name in isolated:
        segment = border.segments[name]
        mine = list(segment.networks)
        interfaces = {
            (item["host"], item["interface"])
            for item in addresses
            if any(ipaddress.ip_address(item["address"]) in network for network in segment.networks)
        }
        for item in addresses:
            network = ipaddress.ip_network(item["network"])
            if (item["host"], item["interface"]) in interfaces and not _overlap_any(network, taken):
                mine.append(network)
        found[name] = {str(version): _collapse(mine, version) for version in (4, 6)}
    return found


def others_of(border: Border, version: int) -> List[str]:
    """Return what is not "the rest": every other segment, what is always reachable, and nobody's addresses."""
    found = [network for segment in border.segments.values() if not segment.rest for network in segment.networks]
    found += [ipaddress.ip_network(network) for item in border.always for network in item["from"] + item["to"]]
    return _collapse([*found, *map(ipaddress.ip_network, _NOBODYS[version])], version)


def _overlap_any(network: Any, others: List[Any]) -> bool:
    return any(network.version == other.version and network.overlaps(other) for other in others)


def _of(networks: List[str], version: int) -> List[str]:
    return [network for network in networks if ipaddress.ip_network(network).version == version]


def _collapse(networks: List[Any], version: int) -> List[str]:
    return [str(one) for one in ipaddress.collapse_addresses(n for n in networks if n.version == version)]


def identity(rules: Dict[str, Any]) -> str:
    """Return 16 hexadecimal digits that stand for just these rules."""
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]
