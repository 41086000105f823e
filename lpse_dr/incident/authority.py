"""Who may decide. An emergency is never blocked: a check can be passed by force, which every report then shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..i18n import _
from ..journal import who
from ..sop import Role
from .model import Incident
from .people import People, Person
from .refusal import IncidentError

DEPUTY = "deputy"
_OWN_REQUESTS = {"return": "recovered", "close": "analyse"}
"""Who asked for it by this report does not approve it."""


@dataclass(frozen=True)
class Claim:
    """What a person says about the own right to act: an order by phone, a reason, or a pane of glass."""

    user: str
    reason: str = ""
    ordered_by: str = ""
    via: str = ""
    break_glass: str = ""


@dataclass(frozen=True)
class Grant:
    """The right to act: who is written down, what the event carries of it, and who the decision counts as."""

    by: dict[str, str]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def forced(self) -> bool:
        """Tell whether an authority check was passed by force."""
        return bool(self.data.get("break_glass"))


def authorise(people: People, role: Role, claim: Claim, *, act: str = "", incident: Incident | None = None) -> Grant:
    """Return the right to an act that belongs to a role. IncidentError says whose it is, and how to go on all the same."""
    person = people.by_login(claim.user)
    try:
        if claim.ordered_by:
            return _by_order(people, role, person, claim, act, incident)
        return _own(people, role, person, claim, act, incident)
    except IncidentError as refused:
        if not claim.break_glass.strip():
            raise
        data = {"break_glass": claim.break_glass, "refused": refused.message, **_told(claim)}
        return Grant(who(person.name if person else "", person.role.value if person else ""), data)


def member(people: People, claim: Claim) -> Grant:
    """Return the right to something that any member may do, and anybody where glass is broken."""
    person = people.by_login(claim.user)
    if person is not None:
        return Grant(who(person.name, person.role.value))
    refused = _refusal(
        _("{user} is not in people.yml.").format(user=claim.user), _names(people, None), claim.user, ""
    )
    if not claim.break_glass.strip():
        raise refused
    return Grant(who(), {"break_glass": claim.break_glass, "refused": refused.message})


def _told(claim: Claim) -> dict[str, Any]:
    told = {"reason": claim.reason, "ordered_by": claim.ordered_by, "via": claim.via}
    return {key: value for key, value in told.items() if value}


def _own(
    people: People, role: Role, person: Person | None, claim: Claim, act: str, incident: Incident | None
) -> Grant:
    if person is None:
        raise _refusal(
            _("{user} is not in people.yml.").format(user=claim.user), _names(people, role), claim.user, act
        )
    acting = _acting_as(people, role, person, claim, act)
    _not_the_own_request(person, act, incident)
    return Grant(who(person.name, acting), _told(claim))


def _acting_as(people: People, role: Role, person: Person, claim: Claim, act: str) -> str:
    """Return the role in which a member acts, or refuse."""
    if person.role is role:
        return role.value
    if role is Role.KOORDINATOR and person in people.deputies:
        if not claim.reason.strip():
            before = people.authority()[: people.authority().index(person)]
            names = ", ".join(item.name for item in before)
            raise IncidentError(
                "incident.deputy",
                _("A deputy says why those before cannot decide: {names}.").format(names=names),
                expected=_("--reason TEXT"),
                found=_("no reason"),
                hint=_("Repeat the command with --reason TEXT."),
            )
        return DEPUTY
    raise _refusal(
        _("This belongs to the {role}.").format(role=role.value), _names(people, role), f"{person.name} ({person.role.value})", act
    )  # fmt: skip


def _by_order(
    people: People, role: Role, person: Person | None, claim: Claim, act: str, incident: Incident | None
) -> Grant:
    """An order that came by phone: the one who types it executes, the one who gave it confirms later."""
    if role is not Role.KOORDINATOR:
        raise UsageError(_("--ordered-by fits decisions of the koordinator only."), hint=_("Leave --ordered-by out."))
    if not claim.via.strip():
        raise UsageError(_("An order needs the way on which it came."), hint="--via telepon")
    decider = people.require(claim.ordered_by)
    if person is None:
        raise _refusal(
            _("{user} is not in people.yml.").format(user=claim.user), _names(people, None), claim.user, act
        )
    if decider == person:
        raise UsageError(_("Nobody gives orders to the own person."), hint=_("Leave --ordered-by out."))
    _acting_as(people, role, decider, claim, act)
    _not_the_own_request(decider, act, incident)
    data = {**_told(claim), "ordered_by": decider.name, "ordered_by_user": decider.user, "awaiting": True}
    return Grant(who(person.name, person.role.value), data)


def _not_the_own_request(person: Person, act: str, incident: Incident | None) -> None:
    """Nobody approves the own request: not the report that one gave, nor the recovery or analysis that one reported."""
    if incident is None:
        return
    own = ""
    if act in ("declare", "dismiss"):
        own = person.name if str(incident.report.get("reporter") or "").strip().lower() == person.name.lower() else ""
    elif act in _OWN_REQUESTS:
        asked = incident.last(_OWN_REQUESTS[act])
        own = person.name if asked and asked.by.get("user") == person.user else ""
    if own:
        raise _refusal(_("Nobody approves the own request."), _("another person than who reported it"), own, act)


def may_confirm(people: People, user: str, decider: str, typed_by: str) -> bool:
    """Tell whether a login may confirm an order: it is the decider's or the Koordinator's, and did not type it."""
    person = people.by_login(user)
    return person is not None and user != typed_by and (person.name == decider or person == people.koordinator)


def _names(people: People, role: Role | None) -> str:
    wanted = people.authority() if role is Role.KOORDINATOR else people.members
    return (
        ", ".join(person.name for person in wanted if role in (None, Role.KOORDINATOR, person.role)) or "people.yml"
    )


def _refusal(message: str, expected: str, found: str, act: str) -> IncidentError:
    if act in ("declare", "dismiss", "order", "return", "close"):
        hint = _("By phone: --ordered-by NAME --via telepon. If nobody can be reached: --break-glass TEXT")
    else:
        hint = _("If nobody else can do it: --break-glass TEXT")
    return IncidentError("incident.authority", message, expected=expected, found=found, hint=hint)
