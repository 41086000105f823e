"""nftables of a gateway: one table of our own beside whatever else is there, loaded and removed in one transaction each."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import Any, Dict, List, Optional

from .base import run

NAME = "lpse_dr_isolation"
MARK = re.compile(r"lpse-dr (?P<level>[a-z0-9_-]+) (?P<id>[0-9a-f]{16})")
_COUNTED = re.compile(r'counter packets (\d+) bytes (\d+) drop comment "([^"]+)"')
_COMMENT = re.compile(r'^\s*comment "([^"]*)"', re.MULTILINE)
_FLOWTABLE = re.compile(r"^\s*flowtable ", re.MULTILINE)


def program() -> Optional[str]:
    """Return the path of nft, or None."""
    return shutil.which("nft", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin")


def ask(words: List[str], seconds: float, stdin: Optional[str] = None) -> str:
    """Run nft and return what it printed. VerbError ``command.failed`` has nft's own words."""
    return run([program() or "nft", *words], min(10.0, max(0.2, seconds)), stdin=stdin).stdout


def load(rules: str, seconds: float) -> None:
    """Give the rules to the kernel: all of them, or, with a mistake in the last line, none."""
    ask(["-f", "-"], seconds, rules)


def unload(seconds: float) -> None:
    """Take our table away."""
    ask(["delete", "table", "inet", NAME], seconds)


def read(seconds: float) -> Dict[str, Any]:
    """Return our table, a hash of everything else, and where the others' chains hook in."""
    text = ask(["list", "ruleset"], seconds)
    own, rest = split(text)
    chains = json.loads(ask(["-j", "list", "chains"], seconds))["nftables"]
    return {
        "isolation": describe(own),
        "rest_sha256": hashlib.sha256(stateless(rest).encode()).hexdigest(),
        "flowtables": len(_FLOWTABLE.findall(rest)),
        "hooks": hooks(chains),
    }


def split(text: str) -> "tuple[Optional[str], str]":
    """Part ``nft list ruleset`` into our table and all others; tables begin in the first column and end with a brace there."""
    own: Optional[str] = None
    rest: List[str] = []
    for block in re.split(r"(?m)^(?=table )", text):
        if block.startswith("table inet %s {" % NAME):
            own = block
        elif block:
            rest.append(block)
    return own, "".join(rest)


def stateless(text: str) -> str:
    """Return rules without what changes while nobody changes them: counters, and the time left of set elements."""
    text = re.sub(r"counter packets \d+ bytes \d+", "counter", text)
    return re.sub(r" expires \w+", "", text)


def describe(own: Optional[str]) -> Optional[Dict[str, Any]]:
    """Return what our table says: whose it is, which level, what it has dropped by segment."""
    if own is None:
        return None
    comment = _COMMENT.search(own.split("chain ", 1)[0])
    words = comment[1] if comment else ""
    mark = MARK.fullmatch(words)
    dropped: Dict[str, int] = {}
    for packets, _bytes, label in _COUNTED.findall(own):
        dropped[label] = dropped.get(label, 0) + int(packets)
    return {
        "own": mark is not None,
        "comment": words,
        "level": mark["level"] if mark else None,
        "id": mark["id"] if mark else None,
        "segments": sorted(label.partition(" ")[2] for label in dropped if label.startswith("segment ")),
        "sha256": hashlib.sha256(stateless(own).encode()).hexdigest(),
        "dropped": dropped,
    }


def hooks(chains: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return the base chains of others on the hooks that we use, with their priorities."""
    found = []
    for item in chains:
        chain = item.get("chain") or {}
        ours = (chain.get("family"), chain.get("table")) == ("inet", NAME)
        if chain.get("hook") in ("forward", "input", "output") and not ours:
            found.append({"table": chain["table"], "hook": chain["hook"], "priority": int(chain["prio"])})
    return found
