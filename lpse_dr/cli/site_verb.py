"""Verbs that act on one noun of one site: parts of the whole-site operations, for a person who must finish by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..errors import UsageError
from ..i18n import _
from ..operations.model import Operation
from .context import Answer, Context
from .grammar import Verb


def site_verb(operation_id: str, text: str, *, inverse: str | None, every_site: bool = False) -> Verb:
    """Return the verb of an operation that takes `--at SITE`; with `every_site` it may be left out.

    Without an inverse the operation changes nothing.
    """
    operation = Operation(operation_id, changes=inverse is not None, inverse=inverse)

    def arguments(parser: argparse.ArgumentParser) -> None:
        words = _("the site; otherwise every one") if every_site else _("the site")
        parser.add_argument("--at", metavar="SITE", required=not every_site, help=words)

    return Verb(operation_id.partition(".")[2], text, _runner(operation), arguments, operation)


def _runner(operation: Operation) -> Callable[[Context], Answer]:
    def run(context: Context) -> Answer:
        from ..operations.start import check_inventory
        from .ask import need_somebody_or_yes, type_to_confirm
        from .go import answer_of, execute, show_guards

        args = context.args
        if operation.changes and getattr(args, "plan", False):
            raise UsageError(_("This command has no plan to show."), hint=context.command("lpse-dr status"))
        if operation.changes:
            need_somebody_or_yes(args.yes)
        check_inventory(context.office, args.at)
        if operation.changes and not args.yes:
            word = args.at or context.words.split()[-1]
            type_to_confirm(word, _("Type {word} to begin:").format(word=word))
        variables = {"at_site": args.at} if args.at else {}
        typed = context.words + (f" --at {args.at}" if args.at else "")
        watched = execute(context, operation, variables, typed=typed)
        show_guards(context, [guard for guard in watched.guards if not guard.get("ok")])
        return answer_of(context, watched, {})

    return run
