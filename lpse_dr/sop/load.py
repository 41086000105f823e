"""Read the SOP's files and those of an office; every mistake is told at once, with file, line and the nearest right key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..closed_yaml import Check, Each, Entry, Keys, Problems, count, nearest, one_of, read, text, texts, truth
from ..errors import OfficeError
from ..i18n import _
from .model import Activity, Choice, Condition, Interlock, Question, Role, Sop, Step, StepKind, When

FOLDER = Path(__file__).resolve().parent
OFFICE_FOLDER = "conditions.d"
_ROWS = 8


class SopError(OfficeError):
    """The SOP's data, or what an office added to it, cannot be used."""

    error_id = "sop"


def _pattern(pattern: str, example: str) -> Check:
    def check(value: Any) -> str | None:
        good = isinstance(value, str) and re.fullmatch(pattern, value)
        return None if good else _("a name such as {example} is needed").format(example=example)

    return check


_condition_id = _pattern(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "listrik-padam")
_step_id = _pattern(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*", "people.evacuate")
_operation_id = _pattern(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", "vlan.isolate")

_QUESTION = Keys({"text": text, "english": text}, required=("text", "english"))
_STEP = {"step": _step_id, "text": text, "english": text, "manual": truth, "only_if": _QUESTION}
_STEP_KEYS = Keys(_STEP, required=("step", "text", "english"))
_CONDITION = {
    "id": _condition_id,
    "aliases": Each(_condition_id),
    "text": text,
    "english": text,
    "steps": Each(_STEP_KEYS),
}
_CONDITION_KEYS = ("id", "text", "english", "steps")
_ACTIVITIES = Keys(
    {
        "activities": Each(
            Keys(
                {
                    "number": count,
                    "role": one_of(*(role.value for role in Role)),
                    "text": text,
                    "english": text,
                    "command": text,
                },
                required=("number", "role", "text", "english"),
            )
        )
    },
    required=("activities",),
)
_CONDITIONS = Keys(
    {"conditions": Each(Keys({**_CONDITION, "row": count}, required=("row", *_CONDITION_KEYS)))},
    required=("conditions",),
)
_ADDED_STEP = Keys(
    {**_STEP, "condition": _condition_id, "place": one_of("first", "last")},
    required=("condition", "place", "step", "text", "english"),
)
_ADDITIONS = Keys({"conditions": Each(Keys(_CONDITION, required=_CONDITION_KEYS)), "steps": Each(_ADDED_STEP)})
_CHOICE = Keys(
    {"id": _operation_id, "words": texts, "when": one_of(*(when.value for when in When))}, required=("id",)
)
_KIND = Keys({"id": _step_id, "manual": truth, "life_safety": truth, "operations": Each(_CHOICE)}, required=("id",))
_INTERLOCK = Keys(
    {
        "id": _step_id,
        "while": Keys({"condition": _condition_id, "step": _step_id}),
        "until": count,
        "forbids": Each(_operation_id),
        "first": _step_id,
        "text": text,
        "english": text,
    },
    required=("id", "while", "forbids", "first", "text", "english"),
)
_STEPS = Keys({"steps": Each(_KIND), "interlocks": Each(_INTERLOCK)}, required=("steps", "interlocks"))


def load_sop(office: Path | None = None, *, folder: Path = FOLDER) -> Sop:
    """Return the SOP with what the office in this folder adds. SopError (exit 2) lists every mistake."""
    added = sorted((office / OFFICE_FOLDER).glob("*.y*ml")) if office is not None else []
    return _load(folder, tuple(added)) if added else _own(folder)


@cache
def _own(folder: Path) -> Sop:
    """Without additions the answer is always the same, and cannot be changed by who gets it."""
    return _load(folder, ())


def _load(folder: Path, added: tuple[Path, ...]) -> Sop:
    problems = Problems()
    loader = _Loader(folder, problems)
    loader.read_own()
    for path in added:
        loader.read_additions(path)
    sop = loader.build()
    if problems:
        raise SopError(
            _("The SOP's data cannot be used."), detail="\n".join(problems.found), hint=_("Correct these lines.")
        )
    return sop


class _Loader:
    """Collects entries with their file, then builds the model; looks every name up that one entry says of another."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems
        self._kinds: dict[str, StepKind] = {}
        self._conditions: list[tuple[Path, Entry]] = []
        self._added: list[tuple[Path, Entry]] = []
        self._activities = Entry(1)
        self._steps = Entry(1)

    def read_own(self) -> None:
        """Read the four files of this program."""
        self._activities = read(self._folder / "activities.yml", _ACTIVITIES, self._problems)
        self._steps = read(self._folder / "steps.yml", _STEPS, self._problems)
        path = self._folder / "conditions.yml"
        entries = read(path, _CONDITIONS, self._problems).get("conditions", [])
        self._conditions += [(path, entry) for entry in entries]
        self.read_additions(self._folder / "additions.yml")

    def read_additions(self, path: Path) -> None:
        """Read one file of additions: the program's own, or an office's."""
        found = read(path, _ADDITIONS, self._problems)
        self._conditions += [(path, entry) for entry in found.get("conditions", [])]
        self._added += [(path, entry) for entry in found.get("steps", [])]

    def build(self) -> Sop:
        """Return the model; what does not fit together goes to the problems."""
        activities = tuple(_activity(entry) for entry in self._activities.get("activities", []) if _whole(entry, "number", "role", "text", "english"))  # fmt: skip
        steps_path = self._folder / "steps.yml"
        for entry in self._steps.get("steps", []):
            self._add_kind(steps_path, entry)
        self._names_are_used_once()
        known = [entry.get("id") for _path, entry in self._conditions]
        for path, entry in self._added:
            self._known(path, entry, "condition", known)
        conditions = tuple(self._condition(path, entry) for path, entry in self._conditions if "id" in entry)
        self._rows(conditions)
        interlocks = tuple(
            lock for entry in self._steps.get("interlocks", []) if (lock := self._interlock(steps_path, entry, known))
        )
        return Sop(activities, conditions, tuple(self._kinds.values()), interlocks)

    def _wrong(self, path: Path, entry: Entry, key: str, problem: str) -> None:
        self._problems.add(path, entry.line_of(key), problem)

    def _known(self, path: Path, entry: Entry, key: str, known: Iterable[str | None]) -> None:
        word = entry.get(key)
        words = [name for name in known if name]
        if word is not None and word not in words:
            problem = _("'{key}': there is no '{word}'").format(key=key, word=word)
            self._wrong(path, entry, key, problem + nearest(word, words))

    def _names_are_used_once(self) -> None:
        """Every name by which a person calls a condition must mean one condition."""
        seen: dict[str, str] = {}
        for path, entry in self._conditions:
            names = {str(entry.get("id")): "id", **dict.fromkeys(entry.get("aliases", ()), "aliases")}
            for name, key in names.items():
                if name in seen:
                    problem = _("'{key}': '{word}' is taken by {file}").format(key=key, word=name, file=seen[name])
                    self._wrong(path, entry, key, problem)
                seen[name] = path.name

    def _rows(self, conditions: tuple[Condition, ...]) -> None:
        rows = [item.row for item in conditions if item.row is not None]
        if not self._problems and rows != list(range(1, _ROWS + 1)):
            found = ", ".join(map(str, rows))
            problem = _("rows 1 to {last} are needed, in order; found: {found}").format(last=_ROWS, found=found)
            self._problems.add(self._folder / "conditions.yml", None, problem)

    def _add_kind(self, path: Path, entry: Entry) -> None:
        if "id" not in entry:
            return
        wrong = partial(self._wrong, path, entry)
        if entry["id"] in self._kinds:
            wrong("id", _("'{key}' stands twice").format(key=entry["id"]))
        choices = tuple(
            Choice(item["id"], tuple(item.get("words", ())), When(item.get("when", When.ALWAYS.value)))
            for item in entry.get("operations", [])
            if "id" in item
        )
        manual = bool(entry.get("manual", False))
        if manual == bool(choices):
            wrong("id", _("'{key}' is either manual or has operations").format(key=entry["id"]))
        self._kinds[entry["id"]] = StepKind(entry["id"], manual, bool(entry.get("life_safety", False)), choices)

    def _condition(self, path: Path, entry: Entry) -> Condition:
        own = path.parent == self._folder and "row" in entry
        steps = [(path, step, not own) for step in entry.get("steps", [])]
        for place in ("last", "first"):
            more = [(file, item, True) for file, item in self._added
                    if item.get("condition") == entry["id"] and item.get("place") == place]  # fmt: skip
            steps = [*more, *steps] if place == "first" else [*steps, *more]
        seen: set[str] = set()
        built: list[Step] = []
        for file, item, addition in steps:
            step = self._step(file, item, addition)
            if step is None:
                continue
            if step.id in seen:
                self._wrong(file, item, "step", _("'{key}' stands twice").format(key=step.id))
            seen.add(step.id)
            built.append(step)
        if not built and not self._problems:
            self._wrong(
                path, entry, "steps", _("'{key}': {problem}").format(key="steps", problem=_("a step is needed"))
            )
        source = path.name if path.parent == self._folder else f"{OFFICE_FOLDER}/{path.name}"
        return Condition(
            entry["id"], entry.get("text", ""), entry.get("english", ""), tuple(built), entry.get("row"),
            tuple(entry.get("aliases", ())), source,
        )  # fmt: skip

    def _step(self, path: Path, entry: Entry, addition: bool) -> Step | None:
        if not _whole(entry, "step", "text", "english"):
            return None
        kind = self._kinds.get(entry["step"])
        if kind is None and entry.get("manual"):
            # An office's own manual step needs no code, only its words.
            kind = StepKind(entry["step"], manual=True)
        if kind is None:
            problem = _("'{key}': there is no '{word}'").format(key="step", word=entry["step"])
            near = nearest(entry["step"], self._kinds)
            own = _("; a step of your own says 'manual: true'")
            self._wrong(path, entry, "step", problem + (near or own))
            return None
        asked = entry.get("only_if") or {}
        whole = asked.get("text") and asked.get("english")
        question = Question(asked["text"], asked["english"]) if whole else None
        return Step(kind, entry["text"], entry["english"], addition, question)

    def _interlock(self, path: Path, entry: Entry, conditions: list[str | None]) -> Interlock | None:
        if not _whole(entry, "id", "while", "forbids", "first", "text", "english"):
            return None
        during: Entry = entry["while"]
        self._known(path, during, "condition", conditions)
        self._known(path, during, "step", self._kinds)
        self._known(path, entry, "first", self._kinds)
        if len(during) != 1:
            self._wrong(path, entry, "while", _("'{key}' names a condition or a step").format(key="while"))
        return Interlock(
            entry["id"], entry["text"], entry["english"], tuple(entry["forbids"]), entry["first"],
            during.get("condition"), during.get("step"), entry.get("until"),
        )  # fmt: skip


def _whole(entry: Entry, *keys: str) -> bool:
    return all(key in entry for key in keys)


def _activity(entry: Entry) -> Activity:
    role = Role(entry["role"])
    return Activity(entry["number"], role, entry["text"], entry["english"], entry.get("command", ""))
