"""Files that people write: YAML with a closed schema, every mistake told at once, with file and line.

A key that nobody reads is a limit, or a step, that somebody believes in: an unknown one is therefore a
mistake, answered with the nearest right one.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .i18n import _

Check = Callable[[Any], "str | None"]
"""Takes a value; returns what is wrong with it, or None."""


@dataclass(frozen=True)
class Keys:
    """A mapping with exactly these keys; those in `required` must be there."""

    rules: dict[str, Any]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Each:
    """A list whose entries all obey one rule."""

    rule: Any


class Entry(dict[str, Any]):
    """A mapping that was read, and the line on which each of its keys stands (1 is the first)."""

    line: int = 1

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """Return the line of a key, or that of the entry where the key is missing."""
        return self.lines.get(key, self.line)


@dataclass
class Problems:
    """What is wrong, in the order in which it was found: one `file:line: path: what` each."""

    found: list[str] = field(default_factory=list)

    def add(self, path: Path, line: int | None, text: str) -> None:
        """Note one mistake."""
        self.found.append(f"{path}:{line}: {text}" if line else f"{path}: {text}")

    def __bool__(self) -> bool:
        return bool(self.found)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the nearest known word, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return _(", did you mean '{near}'?").format(near=near[0]) if near else ""


def text(value: Any) -> str | None:
    """Accept a text of one line that can be printed: no control character reaches a terminal or a letter."""
    if not (isinstance(value, str) and value.strip()):
        return _("a text is needed")
    strange = [letter for letter in value if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]
    return _("a text of one line is needed") if strange else None


def texts(value: Any) -> str | None:
    """Accept a list of texts."""
    good = isinstance(value, list) and all(text(item) is None for item in value)
    return None if good else _("a list of texts is needed")


def truth(value: Any) -> str | None:
    """Accept true or false."""
    return None if isinstance(value, bool) else _("true or false is needed")


def count(value: Any) -> str | None:
    """Accept a whole number of 0 or more."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if good else _("a whole number of 0 or more is needed")


def one_of(*words: str) -> Check:
    """Accept one of these words."""

    def check(value: Any) -> str | None:
        if value in words:
            return None
        near = nearest(value, words) if isinstance(value, str) else ""
        return _("one of {words} is needed").format(words=", ".join(words)) + near

    return check


def read(path: Path, schema: Keys, problems: Problems) -> Entry:
    """Read one file. What obeys the schema is returned; what does not is added to `problems`."""
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            found = Entry(1)
            _missing(found, schema, "", path, problems)
            return found
        result = _Reader(path, loader, problems).keys(node, schema, "")
        return result if isinstance(result, Entry) else Entry(1)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problems.add(path, mark.line + 1 if mark else 1, str(getattr(error, "problem", None) or error))
    except (OSError, UnicodeDecodeError) as error:
        problems.add(path, None, str(error))
    return Entry(1)


def _missing(found: Entry, schema: Keys, where: str, path: Path, problems: Problems) -> None:
    for key in schema.required:
        if key not in found.lines:
            full = f"{where}.{key}" if where else key
            problems.add(path, found.line, _("'{key}' is missing").format(key=full))


@dataclass
class _Reader:
    """Reads node by node, so that each problem has its line, and keeps going."""

    path: Path
    loader: Any
    problems: Problems

    def wrong(self, node: Any, problem: str) -> None:
        self.problems.add(self.path, node.start_mark.line + 1, problem)

    def value(self, node: Any, rule: Any, where: str) -> Any:
        if isinstance(rule, Keys):
            return self.keys(node, rule, where)
        if isinstance(rule, Each):
            return self.each(node, rule, where)
        found = self.loader.construct_object(node, deep=True)
        problem = rule(found)
        if problem:
            self.wrong(node, _("'{key}': {problem}").format(key=where, problem=problem))
            return None
        return found

    def each(self, node: Any, rule: Each, where: str) -> list[Any]:
        import yaml

        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, _("'{key}': {problem}").format(key=where, problem=_("a list is needed")))
            return []
        found = [self.value(item, rule.rule, f"{where}[{number}]") for number, item in enumerate(node.value, start=1)]
        return [item for item in found if item is not None]

    def keys(self, node: Any, schema: Keys, where: str) -> Entry | None:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, _("{where} must be a list of 'key: value' lines").format(where=where or self.path.name))
            return None
        found = Entry(node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key = str(key_node.value)
            full = f"{where}.{key}" if where else key
            rule = schema.rules.get(key)
            if rule is None:
                problem = _("unknown key '{key}'").format(key=full)
                self.wrong(key_node, problem + nearest(key, schema.rules))
            elif key in found.lines:
                self.wrong(key_node, _("'{key}' stands twice").format(key=full))
            else:
                found.lines[key] = key_node.start_mark.line + 1
                value = self.value(value_node, rule, full)
                if value is not None:
                    found[key] = value
        _missing(found, schema, where, self.path, self.problems)
        return found
