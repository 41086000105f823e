"""The command: read the words, find the verb, call it, answer, exit."""

from __future__ import annotations

import argparse
import os
import sys
from itertools import pairwise
from typing import NoReturn

from .. import __version__, i18n
from ..errors import LpseDrError, UsageError
from ..i18n import _
from .context import Answer, Context, DetachedRunError, with_office
from .grammar import (
    BARE,
    GLOBAL_OPTIONS,
    Globals,
    Noun,
    Verb,
    load_noun,
    noun_names,
    split_globals,
    suggest,
    suggest_option,
    verb_parser,
)
from .screen import VERDICTS, Screen

EXIT_USAGE = 2
EXIT_BUG = 70
_HELP = ("-h", "--help", "help")
EXIT_PIPE = 141  # as if by SIGPIPE


def entry() -> NoReturn:
    """Start the command as a program."""
    _three_streams()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has gone (`| head`). No verdict reached anybody, so the exit code must not say COMPLETED.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = EXIT_PIPE
    sys.exit(code)


def _three_streams() -> None:
    """Open the streams that a scheduler or `>&-` has closed; a file opened later would take their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 # open as long as the process
        elif name != "stdin":
            # A terminal that cannot show a letter shows a question mark; the answer is not lost for it.
            stream.reconfigure(errors="replace")


def main(argv: list[str]) -> int:
    """Execute one command and return its exit code. Nothing but this function turns errors into words."""
    options, words, screen = Globals(), "", Screen(as_json=_json_wanted(argv))
    # Also what is wrong with the options is said in the language that they name.
    i18n.use(i18n.choose(_language_wanted(argv)))
    try:
        options, rest = split_globals(argv)
        i18n.use(i18n.choose(options.lang))
        if options.version:
            print(f"lpse-dr {__version__}")
            return 0
        noun, verb, rest = _find(rest)
        if verb is None:
            _help(noun)
            return 0
        words = " ".join(filter(None, (noun.name if noun else "", verb.name)))
        args = _arguments(noun, verb, rest)
        if args is None:
            return 0
        context = Context(words, args, options, screen, ("lpse-dr", *argv))
        return _finish(context, _call(context, verb))
    except LpseDrError as error:
        return _failed(screen, words, error, options)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _failed(screen, words, UsageError(_("Interrupted.")), options, exit_code=130)
    except Exception:  # noqa: BLE001 # no traceback reaches a user
        return _bug(screen, words, options)


def _call(context: Context, verb: Verb) -> Answer:
    """Call the verb. Who stops watching a run is told how to get back to it; how it ends is not known yet."""
    try:
        return verb.run(context)
    except DetachedRunError as left:
        run = str(left.args[0])
        command = context.command(f"lpse-dr runs show {run} --follow")
        error = {
            "id": "run.detached",
            "expected": _("the run to be watched to its end"),
            "found": _("it goes on by itself"),
            "next_command": command,
        }
        return Answer("UNKNOWN", None, error, {"run": run})


def _json_wanted(argv: list[str]) -> bool:
    return "--output=json" in argv or any(pair == ("--output", "json") for pair in pairwise(argv))


def _language_wanted(argv: list[str]) -> str | None:
    named = [word.partition("=")[2] for word in argv if word.startswith("--lang=")]
    named += [value for option, value in pairwise(argv) if option == "--lang"]
    return named[-1] if named and named[-1] in i18n.LANGUAGES else None


def _find(rest: list[str]) -> tuple[Noun | None, Verb | None, list[str]]:
    """Return (noun, verb, other words). Without a verb the caller shows help of the noun, or of everything."""
    if not rest:
        from .bare import OVERVIEW

        return None, OVERVIEW, []
    word, *others = rest
    if word in _HELP:
        others = [other for other in others if other not in _HELP]
        if not others:
            return None, None, []
        # `help runs show` is `runs show --help`.
        word, others = others[0], [*others[1:], "--help"]
    if word.startswith("-"):
        near = suggest_option(word, list(GLOBAL_OPTIONS))
        raise UsageError(_("not understood: {0}").format(word), hint=near or "lpse-dr --help")
    if word not in noun_names():
        raise UsageError(_("There is no command '{word}'.").format(word=word), hint=_hint(word))
    noun = load_noun(word)
    bare = noun.verb(BARE)
    if bare is not None:
        return noun, bare, others
    if not others or others[0] in ("-h", "--help"):
        return noun, None, []
    verb = noun.verb(others[0])
    if verb is None:
        text = _("'{noun}' has no verb '{word}'.").format(noun=word, word=others[0])
        known = [item.name for item in noun.verbs]
        hint = suggest(others[0], known) or _("It has: {verbs}.").format(verbs=", ".join(known))
        raise UsageError(text, hint=hint)
    return noun, verb, others[1:]


def _hint(word: str) -> str:
    """Suggest a noun; or the whole command where a verb was typed alone."""
    near = suggest(word, noun_names())
    if near:
        return near
    found = [f"{name} {word}" for name in noun_names() if load_noun(name).verb(word)]
    return _("Did you mean '{near}'?").format(near="', '".join(found[:3])) if found else "lpse-dr --help"


def _arguments(noun: Noun | None, verb: Verb, rest: list[str]) -> argparse.Namespace | None:
    """Return the verb's own arguments, or None when help was shown instead."""
    if noun is None:
        return argparse.Namespace()
    parser = verb_parser(noun, verb)
    if "-h" in rest or "--help" in rest:
        parser.print_help()
        return None
    return parser.parse_args(rest)


def _help(noun: Noun | None) -> None:
    width = 28
    if noun is not None:
        print(_("usage: ") + f"lpse-dr {noun.name} " + _("VERB") + "\n\n" + _(noun.help) + "\n")
        for verb in noun.verbs:
            print(f"  {noun.name + ' ' + verb.name:<{width}}{_(verb.help)}")
        return
    print(_("usage: ") + "lpse-dr " + _("COMMAND") + " [--help]\n")
    print(_("Moves an e-procurement service between two sites without losing a bid.") + "\n")
    print(f"  {'lpse-dr':<{width}}{_('who is active, what is open, what to type next')}")
    for name in noun_names():
        found = load_noun(name)
        verbs = "|".join(verb.name for verb in found.verbs if verb.name)
        left = f"{name} {verbs}".strip()
        if len(left) < width:
            print(f"  {left:<{width}}{_(found.help)}")
        else:
            print(f"  {left}\n  {'':<{width}}{_(found.help)}")
    print("\n" + _("everywhere, before or after the command:"))
    for option, text in (
        ("--office DIR, --lab [NAME]", _("which office; the lab only when named")),
        ("--output text|json", _("for people, or one JSON object for programs")),
        ("--lang id|en, -v", _("language; more detail")),
        ("--ask-become-pass", _("ask for the sudo password of the hosts")),
        ("--vault-password-file FILE", _("password of the encrypted variables")),
    ):
        print(f"  {option:<{width}}{text}")


def _finish(context: Context, answer: Answer) -> int:
    screen = context.screen
    if screen.as_json:
        screen.envelope(
            {
                "schema": 1,
                "command": context.words,
                "verdict": answer.verdict,
                "exit_code": answer.exit_code,
                "changed": answer.changed,
                "error": answer.error,
                **answer.payload,
            }
        )
    elif not answer.told and answer.error:
        from .go import tell

        tell(context, answer.verdict, answer.error)
    return answer.exit_code


def _failed(screen: Screen, words: str, error: LpseDrError, options: Globals, *, exit_code: int | None = None) -> int:
    code = error.exit_code if exit_code is None else exit_code
    # Help and the making of a lab need no office; a person who named one has to name it again for all else.
    hint = error.hint if error.hint.endswith("--help") else with_office(error.hint, options)
    if screen.as_json:
        screen.envelope(
            {
                "schema": 1,
                "command": words,
                "verdict": "REFUSED" if code == 3 else None,
                "exit_code": code,
                "changed": False,
                "error": {
                    "id": error.error_id,
                    "expected": getattr(error, "expected", error.message),
                    "found": getattr(error, "found", error.detail),
                    "next_command": hint,
                },
            }
        )
    if code == 3:
        screen.say(f"{_(VERDICTS['REFUSED'])}: {error.message}")
    else:
        screen.say(f"lpse-dr: {error.message}")
    for line in error.detail.splitlines():
        screen.say(line, indent="  ")
    if hint:
        screen.say(f"-> {hint}", indent="  ")
    return code


def _bug(screen: Screen, words: str, options: Globals) -> int:
    """Keep the traceback in a file; show it only to those who asked for detail."""
    import tempfile
    import time
    import traceback

    text = traceback.format_exc()
    if options.verbosity:
        print(text, file=sys.stderr)
    where = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"lpse-dr-{time.strftime('%Y%m%dT%H%M%S')}-", suffix=".txt", delete=False, encoding="utf-8"
        ) as stream:
            stream.write(f"lpse-dr {__version__}: {words}\n{text}")
            where = stream.name
    except OSError:
        where = "-"
    last = text.strip().splitlines()[-1]
    error = LpseDrError(
        _("This is a fault of lpse-dr, not yours."),
        detail=f"{last}\n" + _("Details are in {file}.").format(file=where),
        hint=_("What the hosts are doing is shown by: lpse-dr status"),
    )
    return _failed(screen, words, error, options, exit_code=EXIT_BUG)
