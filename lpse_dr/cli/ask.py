"""Questions to a person. Without a terminal there is nobody to ask: exit 2, never a guess."""

from __future__ import annotations

import sys

from ..errors import RefusedError, UsageError
from ..i18n import _


def somebody_is_there() -> bool:
    """Tell whether a person can read the question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def need_somebody_or_yes(yes: bool, command: str = "") -> None:
    """Refuse early, before anything is read, what would end in a question to nobody. `command` asks none."""
    if not yes and not somebody_is_there():
        raise UsageError(_("There is no terminal to ask on."), hint=command or _("Repeat the command with --yes."))


def ask(question: str) -> str:
    """Put a question on stderr and return the answer, stripped; an end of input is an empty answer."""
    print(question, end=" ", file=sys.stderr, flush=True)
    try:
        return input().strip()
    except EOFError:
        print(file=sys.stderr)
        return ""


def type_to_confirm(word: str, question: str) -> None:
    """Go on only when the person types this very word; anything else changes nothing."""
    try:
        answer = ask(question)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        answer = ""
    if answer != word:
        raise RefusedError(
            _("Not confirmed, nothing was changed."),
            detail=_("Expected '{word}', found '{answer}'.").format(word=word, answer=answer),
        )


def become_password(wanted: bool) -> dict[str, str]:
    """Ask for the sudo password of the hosts, if the command says so. It travels over a pipe, never as an argument."""
    if not wanted:
        return {}
    if not somebody_is_there():
        raise UsageError(
            _("There is no terminal to ask for the password on."), hint=_("Leave --ask-become-pass out.")
        )
    import getpass

    return {"ansible_become_password": getpass.getpass(_("sudo password of the hosts: "))}
