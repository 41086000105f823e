"""What the SOP says, as frozen values. Words come in two languages: `text` is Indonesian and binding, `english` helps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CHANGES = "changes"
"""In an interlock: every operation that changes something."""


class Role(Enum):
    """Who acts: the Koordinator Kelangsungan Layanan or the Tim Kelangsungan Layanan."""

    KOORDINATOR = "koordinator"
    TIM = "tim"


class When(Enum):
    """Which of several operations fits a step, by what the hosts say."""

    ALWAYS = "always"
    PRIMARY_ANSWERS = "primary_answers"
    PRIMARY_SILENT = "primary_silent"


@dataclass(frozen=True)
class Activity:
    """A row of the SOP's first table. `command` is what the tool offers for it, "" where people act alone."""

    number: int
    role: Role
    text: str
    english: str
    command: str = ""


@dataclass(frozen=True)
class Choice:
    """An operation by its id, the words that follow its command, and when it is the fitting one."""

    id: str
    words: tuple[str, ...] = ()
    when: When = When.ALWAYS


@dataclass(frozen=True)
class StepKind:
    """What a step is, wherever it stands. A manual one has no operations; `life_safety` ones come first of all."""

    id: str
    manual: bool = False
    life_safety: bool = False
    operations: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Question:
    """What only people know. A "no" makes the step unnecessary."""

    text: str
    english: str


@dataclass(frozen=True)
class Step:
    """One line of an instruction. Its id is `noun.verb` and stands once in a condition."""

    kind: StepKind
    text: str
    english: str
    addition: bool = False
    only_if: Question | None = None

    @property
    def id(self) -> str:
        """The id of its kind."""
        return self.kind.id

    @property
    def manual(self) -> bool:
        """Tell whether people do it, whatever is installed."""
        return self.kind.manual


@dataclass(frozen=True)
class Condition:
    """A row of the SOP's second table, or one that was added (`row` is None then). `source` names its file."""

    id: str
    text: str
    english: str
    steps: tuple[Step, ...]
    row: int | None = None
    aliases: tuple[str, ...] = ()
    source: str = ""

    @property
    def addition(self) -> bool:
        """Tell whether the SOP does not have it."""
        return self.row is None

    def step(self, step_id: str) -> Step | None:
        """Return the step of this id."""
        return next((step for step in self.steps if step.id == step_id), None)


@dataclass(frozen=True)
class Interlock:
    """Operations that must not run while an incident of a condition is open, or a step of it is not settled.

    `until` is the activity that lifts it; `first` the step that is offered instead.
    """

    id: str
    text: str
    english: str
    forbids: tuple[str, ...]
    first: str
    condition: str | None = None
    step: str | None = None
    until: int | None = None

    def stands_against(self, operation: str, *, changes: bool) -> bool:
        """Tell whether it forbids an operation, by its id and whether it changes anything."""
        return operation in self.forbids or (CHANGES in self.forbids and changes)


@dataclass(frozen=True)
class Sop:
    """Everything."""

    activities: tuple[Activity, ...]
    conditions: tuple[Condition, ...]
    kinds: tuple[StepKind, ...]
    interlocks: tuple[Interlock, ...]

    def condition(self, condition_id: str) -> Condition | None:
        """Return the condition of this very id, None where an office has removed it meanwhile."""
        return next((item for item in self.conditions if item.id == condition_id), None)

    def activity(self, number: int) -> Activity:
        """Return one row of the first table, 1 to 11."""
        return self.activities[number - 1]

    def named(self, word: str) -> Condition | None:
        """Return the condition that this very word means: an id, an alias or a row's number."""
        return self._names().get(_plain(word))

    def near(self, word: str) -> list[Condition]:
        """Return what a person may have meant who typed this word, the likeliest first."""
        import difflib

        word, names = _plain(word), self._names()
        begun = [item for name, item in names.items() if word and (name.startswith(word) or word in name.split("-"))]
        alike = [names[name] for name in difflib.get_close_matches(word, names, n=3, cutoff=0.6)]
        return list(dict.fromkeys(begun or alike))

    def _names(self) -> dict[str, Condition]:
        names = {name: item for item in self.conditions for name in (item.id, *item.aliases)}
        return names | {str(item.row): item for item in self.conditions if item.row is not None}


def _plain(word: str) -> str:
    return "-".join(word.lower().replace("_", " ").split())
