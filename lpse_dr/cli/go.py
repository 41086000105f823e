"""Execute an operation from the command line: start it, show how it goes, tell how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..i18n import _
from ..incident.attach import place
from ..journal import user_name
from ..operations.model import Operation
from ..operations.start import Wish, begin, follow
from ..runner.folder import Run
from ..runner.verdict import SAFE_PHASES, error_of
from .ask import ask, become_password, somebody_is_there
from .context import Answer, Context, DetachedRunError
from .screen import VERDICTS, seconds_text, value_text
from .wording import guard_texts, phase_title

_JOB_SECONDS = 10


@dataclass
class Watched:
    """What the followed run has shown."""

    run: Run
    result: dict[str, Any] = field(default_factory=dict)
    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)
    guards: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    loss: dict[str, Any] = field(default_factory=dict)
    # What an operation tells of its own, by kind; the noun that asked for it knows what it means.
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def readings(self) -> list[dict[str, Any]]:
        """Every reading, oldest first."""
        return self.before + self.after


class Progress:
    """One line per phase, with the time since the start, as it begins."""

    def __init__(self, context: Context, *, quiet: bool = False) -> None:
        self._context = context
        self._quiet = quiet
        self._started = time.monotonic()
        self._safe = True
        self._part: tuple[Any, Any] | None = None
        self._said = 0.0

    def show(self, event: Mapping[str, Any], watched: Watched) -> None:
        """Take one event in, and say what a person needs to know of it."""
        kind = event.get("kind")
        if kind == "phase":
            self._safe = self._safe and str(event.get("phase")).lower() in SAFE_PHASES
            self._line(phase_title(event))
        elif kind == "reading":
            (watched.before if self._safe else watched.after).append(dict(event.get("reading") or {}))
        elif kind == "guards":
            watched.guards = list(event.get("guards") or [])
            # What was known before anything changed; afterwards there is nothing to lose any more.
            watched.loss = watched.loss or dict(event.get("loss") or {})
        elif kind == "told":
            watched.told.setdefault(str(event.get("step")), []).append(dict(event.get("answers") or {}))
        elif kind == "steps":
            watched.steps += event.get("steps") or []
        elif kind == "vlan":
            watched.told.setdefault("vlan", []).append(dict(event))
        elif kind == "job":
            self._job(event)
        elif kind == "fired":
            self._line(_("Past the point of no return"))
        elif kind == "progress" and event.get("figures"):
            from .standby import copied_text

            text = copied_text(event["figures"])
            if text:
                self._line("  " + text)
        elif kind == "progress" and (event.get("text") or self._context.options.verbosity):
            self._line("  " + str(event.get("text") or event.get("step") or ""))
        elif kind == "task" and self._context.options.verbosity:
            self._line(
                f"  {event.get('outcome')}: {event.get('host')}: {event.get('task')} {event.get('message')}".rstrip()
            )

    def _job(self, event: Mapping[str, Any]) -> None:
        """Say how far long work is: at each new part of it, and every few seconds."""
        from .backups import progress_text

        now, part = time.monotonic(), (event.get("subject"), event.get("phase"))
        if part != self._part or now - self._said > _JOB_SECONDS:
            self._part, self._said = part, now
            self._line("  " + progress_text(event))

    def _line(self, text: str) -> None:
        if not self._quiet:
            self._context.screen.say(f"{time.monotonic() - self._started:6.1f} s  {text}")


def watch(context: Context, run: Run, *, quiet: bool = False) -> Watched:
    """Follow a run to its end. Ctrl-C asks what to do; DetachedRunError when the person leaves."""
    watched = Watched(run)
    progress = Progress(context, quiet=quiet)
    seen = 0
    while True:
        try:
            for index, event in enumerate(follow(run)):
                # After an interrupt the events are read from the start; what was shown is not shown again.
                if index >= seen:
                    seen = index + 1
                    progress.show(event, watched)
            break
        except KeyboardInterrupt:
            _interrupted(context, run)
    watched.result = run.result() or {}
    return watched


def _interrupted(context: Context, run: Run) -> None:
    if run.result() is not None:
        return
    if not run.request().get("changes"):
        # Nothing but reading: who presses Ctrl-C wants it to end.
        run.cancel(user_name())
        raise KeyboardInterrupt
    if not somebody_is_there():
        raise DetachedRunError(run.id)
    context.screen.say("")
    context.screen.say(_("The operation goes on by itself."))
    question = _("[Enter] keep watching, [l] leave it running, [c] cancel it:")
    try:
        answer = ask(question).lower()
    except KeyboardInterrupt:
        raise DetachedRunError(run.id) from None
    if answer in ("c", "b"):
        run.cancel(user_name())
        context.screen.say(_("Cancelling. What was begun is undone first; that may take a minute."))
    elif answer == "l":
        raise DetachedRunError(run.id)


def execute(
    context: Context,
    operation: Operation,
    variables: Mapping[str, Any],
    *,
    typed: str = "",
    quiet: bool = False,
) -> Watched:
    """Run an operation and follow it. `typed` is the command that would do the same again."""
    plan = bool(getattr(context.args, "plan", False)) and operation.changes
    named = context.incident or getattr(context.args, "incident", None)
    where = place(context.office, operation, wanted=named, plan=plan)
    reason = str(getattr(context.args, "reason", ""))
    if operation.changes and not (plan or where.open or reason or context.args.yes) and somebody_is_there():
        reason = ask(_("Why? It is kept in the record:"))
    wish = Wish(
        command=context.command(f"lpse-dr {typed or context.words}"),
        argv=context.argv,
        reason=reason,
        variables=dict(variables),
        secret_variables=become_password(context.options.ask_become_pass),
        vault_password_file=context.vault_password_file,
        verbosity=max(context.options.verbosity - 1, 0),
        plan=plan,
        record=where.record.journal.folder if where.record else None,
        step=context.step if operation.id == context.step_operation else "",
    )
    run = begin(context.office, operation, wish)
    if operation.changes and not plan:
        context.screen.say(_("Run {run}").format(run=run.id))
        if where.record:
            context.screen.say(_("Part of the incident {incident}").format(incident=where.record.incident.id))
    return watch(context, run, quiet=quiet)


def execute_typed(
    context: Context, operation: Operation, variables: Mapping[str, Any], typed: str, word: str
) -> Watched:
    """Have a person type ``word`` unless --yes or --plan, execute, and show the guards that say no; of a plan, all."""
    from ..operations.start import check_inventory
    from .ask import need_somebody_or_yes, type_to_confirm

    args = context.args
    if not args.plan:
        need_somebody_or_yes(args.yes)
    check_inventory(context.office)
    if not args.plan and not args.yes:
        type_to_confirm(word, _("Type {word} to begin:").format(word=word))
    watched = execute(context, operation, variables, typed=typed)
    show_guards(context, watched.guards if args.plan else [guard for guard in watched.guards if not guard.get("ok")])
    return watched


def show_guards(context: Context, guards: list[dict[str, Any]]) -> None:
    """Print every guard: those that say yes by name with their hosts, those that say no one by one, last, with what to do."""
    screen = context.screen
    good: dict[str, list[str]] = {}
    for guard in guards:
        if guard.get("ok"):
            title, expected, found, _todo = guard_texts(guard)
            hosts = good.setdefault(title, [])
            if guard.get("host"):
                hosts.append(str(guard["host"]))
            if context.options.verbosity:
                hosts.append(f"{expected}: {found}")
    for title, hosts in good.items():
        screen.line(f"{_('ok'):<6}{title}" + (f" ({', '.join(hosts)})" if hosts else ""), following="      ")
    for guard in guards:
        if not guard.get("ok"):
            title, expected, found, todo = guard_texts(guard)
            where = f" ({guard['host']})" if guard.get("host") else ""
            screen.line(f"{_('NO'):<6}{title}{where} [{guard.get('guard_id')}]", following="      ")
            rows = {_("expected"): expected, _("found"): found, _("do"): context.command(todo)}
            screen.pairs({f"      {label}": value for label, value in rows.items() if value})


def error_texts(context: Context, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return an error as the envelope has it: in the reader's language, its command complete."""
    _title, expected, found, todo = guard_texts({**error, "guard_id": error.get("id")})
    # A verdict repeats the guard's own advice as its next command: say it in the reader's language.
    own = error.get("next_command")
    command = str(todo if not own or own == error.get("todo") else own)
    return error_of(str(error.get("id") or ""), expected, found, context.command(command))


def answer_of(
    context: Context,
    watched: Watched,
    payload: Mapping[str, Any],
    *,
    show: bool = True,
    show_figures: bool = True,
    labels: Mapping[str, str] | None = None,
) -> Answer:
    """Print the verdict of a run, and return it. `labels` are the names of figures as people read them.

    `show_figures` is false where the caller has told them already, in the reader's language.
    """
    result = watched.result
    error = error_texts(context, result["error"]) if result.get("error") else None
    figures = dict(result.get("figures") or {})
    verdict = str(result.get("verdict") or "UNKNOWN")
    if show:
        for label, value in figures.items() if show_figures else ():
            context.screen.line(f"{(labels or {}).get(label, label)}: {value_text(value)}")
        tell(context, verdict, error)
        if result.get("warning"):
            context.screen.say(_("Warning: {text}").format(text=result["warning"]))
        took = result.get("seconds")
        if took is not None:
            context.screen.line(_("It took {time}.").format(time=seconds_text(took)))
    answer = {"run": watched.run.id, **payload}
    if figures:
        answer["figures"] = figures
    return Answer(verdict, result.get("changed"), error, answer, told=True)


def tell(context: Context, verdict: str, error: Mapping[str, Any] | None) -> None:
    """Print a verdict, and with an error what was expected, found, and is to be done."""
    word = _(VERDICTS[verdict])
    context.screen.line(word if word.replace(" ", "_") == verdict else f"{word} ({verdict})")
    if error:
        rows = {
            _("expected"): str(error.get("expected") or ""),
            _("found"): str(error.get("found") or ""),
            _("next"): str(error.get("next_command") or ""),
        }
        context.screen.pairs({label: value for label, value in rows.items() if value})
