"""What a command gets (its words, its office, its screen) and what it gives back."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import i18n
from .grammar import Globals, noun_names
from .screen import Screen

if TYPE_CHECKING:
    from ..office import Office

EXIT_CODES = {"COMPLETED": 0, "REFUSED": 3, "ROLLED_BACK": 4, "INCOMPLETE": 5, "UNKNOWN": 6}


def with_office(text: str, options: Globals) -> str:
    """Name the person's office in every command of a sentence; a command that is copied without it ends in a question.

    Commands that build and remove labs name their lab themselves.
    """
    if options.lab:
        named = f"--lab {options.lab}"
    elif options.office:
        named = f"--office {shlex.quote(options.office)}"
    else:
        return text
    if "--lab" in text or "--office" in text:
        return text
    nouns = "|".join(name for name in noun_names() if name != "lab")
    return re.sub(rf"\blpse-dr(?= (?:{nouns})\b(?!-))", lambda _match: f"lpse-dr {named}", text)


class DetachedRunError(Exception):
    """The person stopped watching a run (its id is the argument); it goes on."""


@dataclass(frozen=True)
class Answer:
    """How a command ended. `payload` holds what the envelope carries besides: a plural noun, or figures."""

    verdict: str = "COMPLETED"
    changed: bool | None = False
    error: Mapping[str, Any] | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    # A command that printed a verdict of its own (a run's screen) says so.
    told: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of the verdict."""
        return EXIT_CODES[self.verdict]


@dataclass
class Context:
    """One command on its way."""

    words: str
    args: argparse.Namespace
    options: Globals
    screen: Screen
    argv: tuple[str, ...]
    # Inside an incident's instruction: the step that this command executes, by which operation, and the incident.
    step: str = ""
    step_operation: str = ""
    incident: str = ""

    @cached_property
    def office(self) -> Office:
        """The office that the command means. Its name is the first line of every screen."""
        from ..office import find_office

        office = find_office(self.options.office, self.options.lab, say=self.screen.say)
        i18n.use(i18n.choose(self.options.lang, office.language))
        if not getattr(self.args, "bare_output", False):
            self.screen.line(office.heading)
        return office

    def command(self, words: str) -> str:
        """Return a command as this person has to type it: with the office that he named."""
        return with_office(words, self.options)

    @property
    def vault_password_file(self) -> Path | None:
        """The file named on the command line, as an absolute path."""
        named = self.options.vault_password_file
        return Path(named).expanduser().resolve() if named else None
