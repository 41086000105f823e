"""What people say, as it is kept: words on one line, moments in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from ..errors import UsageError
from ..i18n import _

_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S")


def one_line(words: str) -> str:
    """Return a text as it is kept: on one line, so that no name can pass for a line of the screen."""
    return " ".join(words.split())


def stamp(moment: datetime) -> str:
    """Return a moment as the journal writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Return a moment of the journal."""
    return datetime.fromisoformat(text)


def read_time(words: str, zone: str, *, now: datetime, not_before: str = "", what: str = "") -> str:
    """Return the moment that a person names (07:30 is today); UsageError for the future, or before `not_before`.

    `what` names in the message what must have come before.
    """
    found = _parse(words.strip(), ZoneInfo(zone), now)
    if found > now:
        raise UsageError(
            _("{time} is in the future.").format(time=words),
            detail=_("now: {now}").format(now=_shown(now, zone)),
            hint=_("For an earlier day write the date too: 2026-11-24 07:30."),
        )
    if not_before and found < moment(not_before):
        raise UsageError(
            _("{time} is before {what}.").format(time=words, what=what),
            detail=f"{what}: {_shown(moment(not_before), zone)}",
            hint=_("Correct one of the two times."),
        )
    return stamp(found)


def _parse(words: str, zone: ZoneInfo, now: datetime) -> datetime:
    try:
        clock = time.fromisoformat(words)
        return datetime.combine(now.astimezone(zone).date(), clock.replace(tzinfo=None), clock.tzinfo or zone)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(words, form).replace(tzinfo=zone)
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        raise UsageError(
            _("'{time}' is not a time.").format(time=words),
            hint=_("Write 07:30, or 2026-11-24 07:30 in the office's zone."),
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _shown(value: datetime, zone: str) -> str:
    return value.astimezone(ZoneInfo(zone)).strftime("%d-%m-%Y %H:%M:%S %Z")
