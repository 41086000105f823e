"""`runs`: what was executed, and how it ended or goes on."""

from __future__ import annotations

import argparse
from typing import Any

from ...i18n import N_, _
from ..context import Answer, Context
from ..grammar import Verb

HELP = N_("what was executed, and how it ended")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help=_("also those that only read"))


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=_("its id, the beginning or end of it, or: last"))
    parser.add_argument("--failed", action="store_true", help=_("only what failed"))
    parser.add_argument("--host", metavar="HOST", help=_("only this host"))
    parser.add_argument("--follow", action="store_true", help=_("watch it to its end"))


def _summary(run: Any) -> dict[str, Any]:
    request, result = run.request(), run.result()
    return {
        "run": run.id,
        "operation": request.get("operation"),
        "changes": bool(request.get("changes")),
        "by": request.get("by"),
        "reason": request.get("reason"),
        "incident": request.get("incident"),
        "started_at": request.get("requested_at"),
        "ended_at": (result or {}).get("ended_at"),
        "verdict": (result or {}).get("verdict"),
        "error": (result or {}).get("error"),
    }


def _list(context: Context) -> Answer:
    from ...runner.folder import runs
    from ..screen import VERDICTS, office_time

    office = context.office
    found = [_summary(run) for run in runs(office.state)]
    shown = [item for item in found if item["changes"] or context.args.all]
    rows = []
    for item in shown:
        verdict = item["verdict"]
        word = _(VERDICTS[verdict]) if verdict else _("going on")
        if (item["error"] or {}).get("id") == "run.killed":
            word += f" ({_('killed')})"
        rows.append([office_time(item["started_at"], office.time_zone), word, item["run"]])
    if rows:
        context.screen.table([_("begun"), _("verdict"), _("run")], rows)
    else:
        context.screen.line(_("Nothing has been executed yet."))
    return Answer(payload={"runs": shown})


def _show(context: Context) -> Answer:
    from ...runner.folder import find_run
    from ..go import error_texts, tell, watch
    from ..screen import office_time, seconds_text
    from ..wording import phase_title

    office = context.office
    run = find_run(office.state, context.args.run)
    if context.args.follow:
        watch(context, run)
    summary = _summary(run)
    result = run.result()
    zone = office.time_zone
    by = summary["by"] or {}
    rows = {
        _("run"): run.id,
        _("operation"): str(summary["operation"]),
        _("begun"): office_time(summary["started_at"], zone),
        _("by"): f"{by.get('user')}@{by.get('host')}",
        _("reason"): summary["reason"] or "-",
        _("record"): summary["incident"] or "-",
    }
    context.screen.pairs(rows)
    context.screen.raw(str(run.folder))
    for phase in (result or {}).get("phases") or []:
        context.screen.line(f"{seconds_text(phase.get('seconds')):>10}  {phase_title(phase)}")
    events = [event for event in run.events()[0] if _wanted(event, context.args)]
    for event in events:
        if event.get("kind") == "task":
            text = f"{event.get('outcome')}: {event.get('host')}: {event.get('task')}"
            context.screen.line(" ".join(filter(None, (text, str(event.get("message") or "")))), indent="  ")
        else:
            for step in event["steps"]:
                problem = (step.get("error") or {}).get("found") or ""
                mark = _("ok") if step.get("ok") else _("NO")
                context.screen.line(f"{mark}: {step.get('host')}: {step.get('name')} {problem}".rstrip(), indent="  ")
    if result is None:
        context.screen.line(_("It goes on. Watch it: {command}").format(
            command=context.command(f"lpse-dr runs show {run.id} --follow")))  # fmt: skip
        return Answer(payload={"runs": [{**summary, "events": events}]})
    error = error_texts(context, result["error"]) if result.get("error") else None
    tell(context, result["verdict"], error)
    payload = {"runs": [{**summary, "result": result, "events": events}]}
    # Showing a run succeeds even where the run did not; only a killed one leaves something to find out.
    killed = error is not None and error["id"] == "run.killed"
    if killed or context.args.follow:
        return Answer(result["verdict"], result.get("changed"), error, payload, told=True)
    return Answer(payload=payload)


def _wanted(event: dict[str, Any], args: argparse.Namespace) -> bool:
    """Tell whether an event is shown: failures always, the rest only where a host was named."""
    if event.get("kind") == "steps":
        if args.host:
            event["steps"] = [step for step in event.get("steps") or [] if step.get("host") == args.host]
        if args.failed:
            event["steps"] = [step for step in event.get("steps") or [] if not step.get("ok")]
        return bool(event.get("steps")) and bool(args.host or args.failed)
    if event.get("kind") != "task" or (args.host and event.get("host") != args.host):
        return False
    failed = event.get("outcome") in ("failed", "unreachable")
    return failed or bool(args.host and not args.failed)


VERBS = (
    Verb("list", N_("what was executed"), _list, _list_arguments),
    Verb("show", N_("one run: who, when, what failed, how it ended"), _show, _show_arguments),
)
