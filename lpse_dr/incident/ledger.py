"""Reading and writing incidents: every act is checked against the state under the journal's lock, then recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import LpseDrError, UsageError
from ..i18n import _
from ..journal import Journal, Verification, incidents, new_record, who
from ..office import Office
from ..sop import Condition, Sop, SopError, load_sop
from .authority import Claim, Grant, authorise, may_confirm
from .fold import fold
from .model import ACTS, Incident, Kind, Progress
from .people import People, PeopleError, load_people
from .refusal import IncidentError
from .rules import complete, in_order, unconfirmed
from .times import one_line, read_time, stamp

REPORTED = "incident.reported"


@dataclass(frozen=True)
class Record:
    """One record: its journal, the state that it tells, and whether its chain is whole."""

    journal: Journal
    incident: Incident
    proof: Verification

    @property
    def open(self) -> bool:
        """Tell whether it is an emergency or a drill that goes on and may be added to."""
        return self.incident.kind is not Kind.PEMELIHARAAN and not self.incident.phase.ended and self.proof.ok


@dataclass(frozen=True)
class Outcome:
    """What an act came to. `changed` is false where it had been done before; `confirmed` where it confirmed an order."""

    record: Record
    changed: bool
    confirmed: bool = False


class _AlreadyError(Exception):
    """Somebody else has recorded the same act a moment ago."""


class Ledger:
    """The incidents of one office."""

    def __init__(self, office: Office, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.office = office
        self.warnings: list[LpseDrError] = []
        self._clock = clock
        # A typo in a file of the office must not stop anybody in an emergency: it is said, and the rest goes on.
        try:
            self.sop: Sop = load_sop(office.folder)
        except SopError as error:
            self.warnings.append(error)
            self.sop = load_sop()
        try:
            self.people: People = load_people(office.folder)
        except PeopleError as error:
            self.warnings.append(error)
            self.people = People()

    # --- reading ------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """Return every record, oldest first."""
        return [self._read(journal) for journal in incidents(self.office.state)]

    def _read(self, journal: Journal) -> Record:
        return Record(journal, self.state(journal, journal.events()), journal.verify())

    def state(self, journal: Journal, events: list[dict[str, Any]]) -> Incident:
        """Return what events of a journal tell, and the runs themselves of those that tell no end."""
        return _without_dead_runs(fold(journal.folder.name, events, self.sop), journal.folder)

    def again(self, record: Record) -> Record:
        """Return the record as it stands now."""
        return self._read(record.journal)

    def open_records(self) -> list[Record]:
        """Return the emergencies and drills that go on, oldest first."""
        return [record for record in self.records() if record.open]

    def choose(self, wanted: str | None, *, ended: bool = False) -> Record:
        """Return the record that a person means: the one named, else the only one that is open.

        IncidentError where none is open, UsageError where it must be named. `ended` allows closed ones by name.
        """
        known = self.records()
        pool = [record for record in known if record.open]
        if wanted:
            pool = known if ended else [record for record in known if not record.incident.phase.ended]
            found = [record for record in pool if record.incident.id == wanted] or [
                record for record in pool if wanted.lower() in record.incident.id.lower()
            ]
            if len(found) == 1:
                if not ended and not found[0].proof.ok:
                    raise _broken(found[0])
                return found[0]
            problem = (
                _("Several incidents are called '{name}'.") if found else _("There is no open incident '{name}'.")
            )
            raise UsageError(problem.format(name=wanted), detail=_ids(found or pool), hint="lpse-dr incident list")
        if len(pool) == 1:
            return pool[0]
        if pool:
            raise UsageError(
                _("Several incidents are open: name one with --incident."),
                detail=_ids(pool),
                hint="lpse-dr incident list",
            )
        broken = [record for record in known if not record.proof.ok and not record.incident.phase.ended]
        if broken:
            raise _broken(broken[-1])
        raise IncidentError(
            "incident.none",
            _("No incident is open."),
            expected=_("an open incident"),
            found=_("none"),
            hint=_("Take a report in: lpse-dr incident report CONDITION --from NAME --via telepon"),
        )

    def time(self, words: str, *, not_before: str = "", what: str = "") -> str:
        """Return the moment that a person names; nothing named is now."""
        if not words:
            return stamp(self._clock())
        return read_time(words, self.office.time_zone, now=self._clock(), not_before=not_before, what=what)

    # --- activity 2 ---------------------------------------------------------------------------

    def report(
        self,
        condition: Condition,
        *,
        reporter: str,
        via: str,
        user: str,
        happened: str = "",
        heard: str = "",
        text: str = "",
        name: str = "",
        drill: bool = False,
    ) -> Record:
        """Take a report in and open the incident. Anybody may: nothing is decided by it."""
        told = {"reporter": one_line(reporter), "via": one_line(via)}
        for key, option in (("reporter", "--from"), ("via", "--via")):
            if not told[key]:
                raise UsageError(_("{0} needs a value").format(option))
        heard_at = self.time(heard)
        happened_at = self.time(happened) if happened else heard_at
        if happened_at > heard_at:
            raise UsageError(
                _("It cannot have been heard of before it happened."),
                detail=f"--happened {happened_at}, --heard {heard_at}",
                hint=_("Correct one of the two times."),
            )
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30]
        others = self.open_records()
        if others and not slug:
            raise IncidentError(
                "incident.unnamed",
                _("An incident is open already; a second one needs a name."),
                expected=_("--name NAME, so that the two are told apart"),
                found=_ids(others),
                hint=_("If it is the same one: lpse-dr incident show. Otherwise repeat with --name NAME."),
            )
        kind = Kind.LATIHAN if drill else Kind.DARURAT
        parts = [kind.value if drill else "", condition.id, slug]
        journal = new_record(self.office.state, "-".join(filter(None, parts)))
        data = {
            "id": journal.folder.name, "type": kind.value, "condition": condition.id, "name": one_line(name), **told,
            "happened_at": happened_at, "heard_at": heard_at, "text": one_line(text),
        }  # fmt: skip
        journal.append(REPORTED, data, by=self._by(user))
        return self._read(journal)

    def _by(self, user: str) -> dict[str, str]:
        person = self.people.by_login(user)
        return who(person.name, person.role.value) if person else who()

    # --- activities 3, 4, 7 to 10 -------------------------------------------------------------

    def act(
        self, record: Record, name: str, claim: Claim, *, text: str = "", data: Mapping[str, Any] | None = None
    ) -> Outcome:
        """Record an act of the SOP, or confirm one that was ordered by phone. What was done before stays as it is."""
        act, incident = ACTS[name], record.incident
        before = incident.last(name)
        if before is not None and act.after not in act.before:
            typed_by = str(before.by.get("user") or "")
            decider = before.ordered_by
            if before.awaiting and may_confirm(self.people, claim.user, decider, typed_by):
                return self._confirm(record, name, before.n, claim)
            return Outcome(record, False)
        more = dict(data or {})
        in_order(incident, act)
        complete(incident, act, one_line(text), more)
        against = unconfirmed(incident, act)
        if against is not None and not claim.break_glass.strip():
            raise against
        grant = authorise(self.people, act.role, claim, act=name, incident=incident)
        if against is not None and not grant.forced:
            grant = Grant(grant.by, {**grant.data, "break_glass": claim.break_glass, "refused": against.message})
        body = {"text": one_line(text), **grant.data, **more}

        def still(events: list[dict[str, Any]]) -> None:
            now = fold(incident.id, events, self.sop)
            if now.phase is act.after and now.phase not in act.before:
                raise _AlreadyError
            in_order(now, act)

        try:
            record.journal.append(act.event, body, by=grant.by, check=still)
        except _AlreadyError:
            return Outcome(self.again(record), False)
        return Outcome(self.again(record), True)

    def _confirm(self, record: Record, name: str, confirms: int, claim: Claim) -> Outcome:
        def still(events: list[dict[str, Any]]) -> None:
            awaiting = [item.n for item in fold(record.incident.id, events, self.sop).awaiting]
            if confirms not in awaiting:
                raise _AlreadyError

        try:
            data = {"act": name, "confirms": confirms, "text": one_line(claim.reason)}
            record.journal.append("incident.confirmed", data, by=self._by(claim.user), check=still)
        except _AlreadyError:
            return Outcome(self.again(record), False)
        return Outcome(self.again(record), True, confirmed=True)


def _without_dead_runs(incident: Incident, folder: Path) -> Incident:
    """A run that was killed tells no end: what its process is, is asked of the run itself."""
    from ..runner.folder import Run

    steps = tuple(
        replace(item, progress=Progress.FAILED, verdict="UNKNOWN")
        if item.progress is Progress.RUNNING and not Run(folder / "runs" / item.run).alive()
        else item
        for item in incident.steps
    )
    return replace(incident, steps=steps)


def _ids(records: list[Record]) -> str:
    return "\n".join(record.incident.id for record in records)


def _broken(record: Record) -> IncidentError:
    return IncidentError(
        "journal.broken",
        _("The journal of {incident} was edited; nothing is added to it.").format(incident=record.incident.id),
        expected=_("an unbroken chain"),
        found=_("line {line} {reason}").format(line=record.proof.bad_line, reason=_(record.proof.reason)),
        hint=_("Look: lpse-dr journal verify. Go on in a new one: lpse-dr incident report CONDITION --name NAME"),
    )
