"""What `failback` and `replication seed` share: the way and why, how far copying is, and what was salvaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..i18n import N_, _
from .context import Answer, Context
from .screen import office_time, seconds_text, size_text, value_text

if TYPE_CHECKING:
    from .go import Watched

_SHOWN = 20
WAYS = {
    "none": N_("it follows already"),
    "rejoin": N_("it follows again, nothing is copied"),
    "rewind": N_("a copy of it is wound back"),
    "seed": N_("a new base backup"),
}
WHYS = {
    "follows": N_("it receives from the active site"),
    "ordered": N_("it was ordered"),
    "no_data": N_("there is no database that can be read"),
    "begun": N_("an earlier run has made the copy"),
    "no_fork": N_("its timeline {timeline} is not in the history of the active site"),
    "not_past": N_("its log ends at {end}, not past {fork}, where the active site went on alone"),
    "no_rewind": N_("its log goes on to {end}, past {fork}; winding back is not possible: {because}"),
    "fewer_bytes": N_("its log goes on to {end}, past {fork}; {rewind} travel instead of {seed}"),
    "fewer_bytes_seed": N_("its log goes on to {end}, past {fork}; {seed} travel instead of {rewind}"),
}
_LABELS = {
    "kept": N_("old data directory"),
    "salvaged_rows": N_("rows salvaged"),
    "salvaged_documents": N_("documents salvaged"),
    "salvage_folder": N_("salvage"),
    "settings": N_("settings changed"),
}


def other_site(context: Context, target: str) -> str:
    """Return the site that is followed: the one that is not the target; RefusedError where there are several."""
    from ..errors import RefusedError
    from ..operations.start import check_inventory

    others = [site for site in check_inventory(context.office, target).sites if site != target]
    if len(others) != 1:
        raise RefusedError(
            _("It is not clear which site {target} would follow.").format(target=target),
            detail=_("sites: {sites}").format(sites=", ".join(others)),
        )
    return others[0]


def show_way(context: Context, plan: Mapping[str, Any]) -> None:
    """Print how the standby would be made, and why so."""
    if plan.get("way") not in WAYS:
        return
    values = {key: str(plan.get(key) or "?") for key in ("timeline", "end", "fork", "because")}
    values |= {"rewind": size_text(plan.get("rewind_bytes")), "seed": size_text(plan.get("seed_bytes"))}
    context.screen.pairs({
        _("way"): _(WAYS[str(plan["way"])]),
        _("why"): _(WHYS[str(plan["why"])]).format(**values) if plan.get("why") in WHYS else "?",
    })  # fmt: skip


def copied_text(figures: Mapping[str, Any]) -> str:
    """Return how far a copy is, in words; empty where nothing is counted."""
    for said in figures.values():
        if isinstance(said, dict) and said.get("left") and said.get("total_bytes"):
            left = said.get("seconds_left")
            text = _("{done} of {total}").format(
                done=size_text(said["done_bytes"]), total=size_text(said["total_bytes"])
            )
            return text if left is None else _("{text}, about {time} left").format(text=text, time=seconds_text(left))
    return ""


def salvaged(watched: Watched) -> list[dict[str, Any]]:
    """Return what was salvaged, as the run listed it."""
    found: list[dict[str, Any]] = []
    for answers in watched.told.get("salvage_documents", []):
        for answer in answers.values():
            if answer.get("list"):
                found += json.loads(answer["list"]).get("salvaged") or []
    return found


def show_salvaged(context: Context, items: list[dict[str, Any]]) -> None:
    """Print what only the old site had, with what a person needs to call the vendor."""
    words = {"only": _("row and document"), "different": _("row differs"), "document": _("document")}
    for item in items[:_SHOWN]:
        context.screen.line(
            _("{what}: {path}, vendor {vendor}, tender {tender}").format(
                what=words.get(str(item.get("reason")), "?"), path=item.get("path"), vendor=item.get("vendor") or "?",
                tender=item.get("tender") or "?",
            ),
            following="    ",
        )  # fmt: skip
    if len(items) > _SHOWN:
        context.screen.line(_("and {count} more").format(count=len(items) - _SHOWN))


def tell(context: Context, watched: Watched) -> Answer:
    """Show how a standby was made, and return the verdict with it."""
    from .go import answer_of, show_guards

    plan = context.args.plan
    failing = [guard for guard in watched.guards if not guard.get("ok")]
    show_guards(context, watched.guards if plan else failing)
    show_way(context, watched.loss)
    if plan:
        for number, step in enumerate(watched.steps, start=1):
            hosts = step.get("host") or ", ".join(step.get("at") or [])
            context.screen.line(f"{number:>3}. {step.get('name')}  {hosts}  {step.get('verb')}")
    items = salvaged(watched)
    figures = _figures(watched)
    if figures.get("why") == "no_data" and context.words.startswith("failback"):
        since = office_time(_moment(watched.loss.get("unknown_since")), context.office.time_zone)
        context.screen.line(
            "! " + _("What only this site had is unknown since {time}: its disk cannot be read.").format(time=since)
        )
    show_salvaged(context, items)
    payload: dict[str, Any] = {
        "salvaged": items,
        "kept": figures.get("kept"),
        "way": watched.loss.get("way"),
        "why": watched.loss.get("why"),
    }
    if plan or failing:
        payload["guards"] = watched.guards
    if plan:
        payload["steps"] = watched.steps
    context.screen.pairs(
        {_(text): value_text(figures[key]) for key, text in _LABELS.items() if figures.get(key) is not None}
    )
    return answer_of(context, watched, payload, show_figures=False)


def _figures(watched: Watched) -> dict[str, Any]:
    """Return the figures of the run, with what its steps said: where a switch-over came after, the last word is its own."""
    figures = dict(watched.result.get("figures") or {})
    for step in watched.steps:
        if step.get("verb") == "standby.adopt" and step.get("ok"):
            figures["kept"] = (step.get("result") or {}).get("kept")
    for answers in watched.told.get("salvage_documents", []):
        for host, answer in answers.items():
            figures |= {"salvaged_rows": answer.get("rows"), "salvaged_documents": answer.get("documents")}
            figures["salvage_folder"] = f"{host}: {answer.get('folder')}"
    figures.setdefault("why", watched.loss.get("why"))
    return figures


def _moment(value: Any) -> Any:
    from ..operations.loss import moment

    return moment(value)
