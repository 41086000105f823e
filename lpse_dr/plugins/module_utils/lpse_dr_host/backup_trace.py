"""What ransomware leaves behind: documents of an older set that are gone, bear another name, or have another content.

Bids are cipher text, so their looks say nothing; but a bid that was handed in never changes. Pure functions.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List

# So many of the older set's documents, at least, and so large a share of them: a mistake of one person is below it.
FEWEST = 3
SHARE = 0.02
EXAMPLES = 5


def compare(older: Iterable[Any], newer: Iterable[Any]) -> Dict[str, Any]:
    """Return {before, changed, vanished, renamed, suspicious, examples}; documents have ``path`` and ``sha256``."""
    now: Dict[str, str] = {}
    held: Dict[str, str] = {}
    for item in newer:
        now[item.path] = item.sha256
        held[item.sha256] = item.path
    changed: List[str] = []
    vanished: List[str] = []
    renamed: List[str] = []
    before = 0
    # A name that only got longer (bid.enc.locked) is a new name even where the content is new as well.
    longer = {path.rpartition(".")[0] for path in now}
    for item in older:
        before += 1
        if item.path in now:
            if now[item.path] != item.sha256:
                changed.append(item.path)
        elif item.sha256 in held or item.path in longer:
            renamed.append(item.path)
        else:
            vanished.append(item.path)
    touched = len(changed) + len(vanished) + len(renamed)
    return {
        "before": before,
        "changed": len(changed),
        "vanished": len(vanished),
        "renamed": len(renamed),
        "suspicious": touched >= FEWEST and touched > SHARE * before,
        "examples": [*changed[:EXAMPLES], *renamed[:EXAMPLES], *vanished[:EXAMPLES]][:EXAMPLES],
    }


def code_changes(older: Dict[str, str], newer: Dict[str, str]) -> List[str]:
    """Return what a database executes by itself (functions, triggers, extensions, ...) and is new, gone or otherwise."""
    found = ["+ " + name for name in sorted(set(newer) - set(older))]
    found += ["- " + name for name in sorted(set(older) - set(newer))]
    return found + ["~ " + name for name in sorted(set(older) & set(newer)) if older[name] != newer[name]]
