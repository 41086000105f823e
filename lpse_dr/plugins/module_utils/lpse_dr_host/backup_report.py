"""What an inspection has found about a set, and what that amounts to."""

from __future__ import annotations

from typing import Any, Dict, List

# Only where none of these was found may a set be called clean.
BLOCKING = ("signatures_missing", "signatures_old", "engine_failed", "scan_failed", "too_large", "rows_unknown")
MOST_EVIDENCE = 20


class Report:
    """What is found about a set, piece by piece."""

    def __init__(self) -> None:
        self.evidence: List[Dict[str, Any]] = []
        self.uninspected: List[Dict[str, Any]] = []
        self.notes: List[Dict[str, Any]] = []

    def judge(self) -> str:
        """Return infected | damaged | unknown | clean."""
        kinds = {item["verdict"] for item in self.evidence}
        for verdict in ("infected", "damaged", "unknown"):
            if verdict in kinds:
                return verdict
        return "unknown" if any(item["id"] in BLOCKING for item in self.uninspected) else "clean"

    def found(self, verdict: str, id: str, words: str, **data: Any) -> None:
        """Keep a piece of evidence; ``data`` are its figures, for a sentence in the reader's language."""
        if len(self.evidence) < MOST_EVIDENCE:
            self.evidence.append({"verdict": verdict, "id": id, "found": words, "data": data})

    def gap(self, id: str, words: str, **data: Any) -> None:
        """Keep what could not be looked into."""
        self.uninspected.append({"id": id, "found": words, "data": data})

    def note(self, id: str, words: str, **data: Any) -> None:
        """Keep what a person should know, and what is no evidence."""
        self.notes.append({"id": id, "found": words, "data": data})
