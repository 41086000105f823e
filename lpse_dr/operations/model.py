"""What an operation is. Each is described once, in the file of its noun below cli/nouns/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Operation:
    """One thing that can be executed: one playbook, one run.

    `inverse` is the command that undoes it, words as typed after ``lpse-dr``; every operation that
    changes something names one. `interlocks` are operations that must not be going on meanwhile;
    among those of one jump host only one that changes runs at a time anyway.
    """

    id: str
    changes: bool = False
    inverse: str | None = None
    interlocks: tuple[str, ...] = ()

    def playbook(self, root: Path) -> Path:
        """Return the playbook of this operation: the id, with an underscore for the dot."""
        return root / "playbooks" / f"{self.id.replace('.', '_')}.yml"
