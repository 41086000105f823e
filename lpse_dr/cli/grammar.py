"""The grammar: nouns are the files below nouns/, found by directory; each lists its verbs.

Only the noun that was typed is imported, and a noun file imports nothing heavy: help is read at
night, on a phone, over a bad line.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import UsageError
from ..i18n import N_, _
from ..operations.model import Operation

if TYPE_CHECKING:
    from .context import Answer, Context

BARE = ""


@dataclass(frozen=True)
class Verb:
    """One command. A noun that is a command itself (`status`, `switchover`) has the one verb BARE.

    A verb that executes an operation takes `changes` and `inverse` from it.
    """

    name: str
    help: str
    run: Callable[[Context], Answer]
    arguments: Callable[[argparse.ArgumentParser], None] | None = None
    operation: Operation | None = None
    changes_itself: bool = False
    inverse_itself: str | None = None

    @property
    def changes(self) -> bool:
        """Tell whether it changes anything."""
        return self.operation.changes if self.operation else self.changes_itself

    @property
    def inverse(self) -> str | None:
        """The command that takes it back."""
        return self.operation.inverse if self.operation else self.inverse_itself


@dataclass(frozen=True)
class Noun:
    """One noun file: its one-line help and its verbs."""

    name: str
    help: str
    verbs: tuple[Verb, ...]

    def verb(self, name: str) -> Verb | None:
        """Return the verb of this name."""
        return next((verb for verb in self.verbs if verb.name == name), None)


def noun_names() -> list[str]:
    """Return every noun as typed. Nothing is imported."""
    folder = Path(__file__).parent / "nouns"
    return sorted(item.name.replace("_", "-") for item in iter_modules([str(folder)]))


def load_noun(name: str) -> Noun:
    """Import one noun file: it has HELP and VERBS."""
    module: Any = import_module(f"{__package__}.nouns.{name.replace('-', '_')}")
    return Noun(name, module.HELP, tuple(module.VERBS))


def suggest(word: str, known: list[str]) -> str:
    """Return "did you mean" for the nearest known word, or an empty text."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return _("Did you mean '{near}'?").format(near=near[0]) if near else ""


def suggest_option(word: str, known: list[str]) -> str:
    """Return "did you mean" for an option; `-y` stands for the long one with that letter."""
    if re.fullmatch(r"-[a-z]", word):
        near = [option for option in known if option.startswith("-" + word)]
        return _("Did you mean '{near}'?").format(near="', '".join(near)) if near else ""
    return suggest(word, [option for option in known if option.startswith("--")])


def positive(text: str) -> float:
    """Return a number above 0 that a clock can count; ValueError otherwise. For argparse."""
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError(text)
    return number


def positive_count(text: str) -> int:
    """Return a whole number above 0; ValueError otherwise. For argparse."""
    number = int(text)
    if not 0 < number < 10**6:
        raise ValueError(text)
    return number


_ARGPARSE = (
    (re.compile(r"the following arguments are required: (.*)"), N_("missing: {0}")),
    (re.compile(r"unrecognized arguments: (.*)"), N_("not understood: {0}")),
    (re.compile(r"argument (.*): expected one argument"), N_("{0} needs a value")),
    (re.compile(r"argument (.*): expected at least one argument"), N_("{0} needs a value")),
    (re.compile(r"argument (.*): invalid choice: (.*) \(choose from (.*)\)"), N_("{0}: {1} is not one of {2}")),
    (re.compile(r"argument (.*): invalid \S+ value: (.*)"), N_("{0}: {1} is not a valid value")),
    (re.compile(r"ambiguous option: (.*) could match (.*)"), N_("{0} could mean {1}")),
)


class Parser(argparse.ArgumentParser):
    """argparse in the reader's language, raising instead of exiting."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog, description=description, add_help=False, allow_abbrev=False,
            formatter_class=_Formatter,
        )  # fmt: skip
        self._positionals.title = _("what to name")
        self._optionals.title = _("options")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, in the reader's language, with the nearest option where one is near."""
        unknown = message.removeprefix("unrecognized arguments: ")
        for pattern, ours in _ARGPARSE:
            match = pattern.fullmatch(message)
            if match:
                message = _(ours).format(*match.groups())
                break
        options = [name for action in self._actions for name in action.option_strings]
        # An option that is spelled well needs its value, not its name.
        strange = [word for word in message.split() if word.startswith("-") and word.rstrip(":") not in options]
        near = next((hint for word in strange if (hint := suggest_option(word, options))), "")
        raise UsageError(message, hint=near or self._bare_site(unknown) or f"{self.prog} --help")

    def _bare_site(self, words: str) -> str:
        """Suggest `--to drc` to a person who typed `drc` alone."""
        options = [name for action in self._actions for name in action.option_strings if name in ("--to", "--at")]
        if not options or not re.fullmatch(r"[a-z0-9_]+", words):
            return ""
        return _("Did you mean '{near}'?").format(near=f"{options[0]} {words}")


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        import shutil

        super().__init__(prog, max_help_position=24, width=min(shutil.get_terminal_size((80, 24)).columns, 100) - 2)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or _("usage: "))


def verb_parser(noun: Noun, verb: Verb) -> Parser:
    """Return the parser of one verb's own arguments."""
    parser = Parser(" ".join(filter(None, ("lpse-dr", noun.name, verb.name))), _(verb.help))
    parser.add_argument("-h", "--help", action="store_true", help=_("show this help"))
    if verb.arguments:
        verb.arguments(parser)
    if verb.operation and verb.operation.changes:
        parser.add_argument("--plan", action="store_true", help=_("show guards and steps, change nothing"))
        parser.add_argument("--yes", action="store_true", help=_("do not ask"))
        parser.add_argument("--reason", default="", metavar="TEXT", help=_("why; kept in the journal"))
    return parser


@dataclass(frozen=True)
class Globals:
    """The options that may stand before or after the verb."""

    office: str | None = None
    lab: str | None = None
    output: str = "text"
    lang: str | None = None
    verbosity: int = 0
    ask_become_pass: bool = False
    vault_password_file: str | None = None
    help: bool = False
    version: bool = False


_VALUES = {
    "--office": "office",
    "--output": "output",
    "--lang": "lang",
    "--vault-password-file": "vault_password_file",
}
_FLAGS = {"--ask-become-pass": "ask_become_pass", "--version": "version"}
GLOBAL_OPTIONS = ("--lab", *_VALUES, *_FLAGS, "--verbose", "--help")


def _named(option: str, value: str) -> str:
    """Return the value. An empty one is a shell variable that was not set: no other office is taken for it."""
    if not value.strip():
        raise UsageError(_("{0} needs a value").format(option), hint="lpse-dr --help")
    return value


def split_globals(argv: list[str]) -> tuple[Globals, list[str]]:
    """Take the global options out of the words, wherever they stand. UsageError for a missing value.

    `--lab` takes the next word as the lab's name unless that is a noun or an option; `--lab=NAME` is
    never misunderstood.
    """
    nouns = set(noun_names())
    found: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(range(len(argv)))
    for index in words:
        option, equals, value = argv[index].partition("=")
        following = argv[index + 1] if index + 1 < len(argv) else None
        if argv[index] == "--":
            rest += argv[index:]
            break
        if option == "--lab":
            if equals:
                found["lab"] = _named(option, value)
            elif following is None or following.startswith("-") or following in nouns:
                found["lab"] = found.get("lab") or "demo"
            else:
                found["lab"] = _named(option, following)
                next(words)
        elif option in _VALUES:
            if not equals:
                if following is None or following.startswith("-"):
                    raise UsageError(_("{0} needs a value").format(option), hint="lpse-dr --help")
                value = following
                next(words)
            found[_VALUES[option]] = _named(option, value)
        elif argv[index] in _FLAGS:
            found[_FLAGS[argv[index]]] = True
        elif re.fullmatch(r"-v+", argv[index]) or argv[index] == "--verbose":
            found["verbosity"] = found.get("verbosity", 0) + max(argv[index].count("v") if option[1] != "-" else 1, 1)
        else:
            rest.append(argv[index])
    for key, allowed in (("output", ("text", "json")), ("lang", ("id", "en"))):
        if key in found and found[key] not in allowed:
            text = _("{0}: {1} is not one of {2}").format(f"--{key}", found[key], ", ".join(allowed))
            raise UsageError(text, hint=suggest(found[key], list(allowed)) or "lpse-dr --help")
    return Globals(**found), rest
