"""The second witness: when PostgreSQL's own log says that a site was open for writes.

Pure functions. A log gives two bounds. The wide one: from "selected new timeline ID" (or "ready to
accept connections" of a plain start) to "database system is shut down". Nobody can commit outside
it. Two sites whose wide spans overlap may both have been writable; an acknowledged write of a probe
outside its own site's span means that one of the two witnesses is wrong. Both are failures.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from .overlap import MILLISECOND, SECOND, TOLERANCE, Moment, ProbeError, Sample, Span, overlap

# What is fetched from the hosts: more than is judged, because the folder of a load is also evidence.
PATTERN = (
    "starting PostgreSQL|entering standby mode|ready to accept|received .* shutdown request|"
    "database system is shut down|selected new timeline ID|archive recovery complete|"
    "received promote request|database system was interrupted|all server processes terminated"
)
_KINDS = (
    ("start", "starting PostgreSQL"),
    ("read_only", "ready to accept read-only connections"),
    ("ready", "ready to accept connections"),
    ("stopped", "database system is shut down"),
    ("timeline", "selected new timeline ID"),
    ("interrupted", "database system was interrupted"),
    ("interrupted", "all server processes terminated"),
    ("other", "shutdown request"),
    ("other", "received promote request"),
    ("other", "archive recovery complete"),
    ("other", "entering standby mode"),
)
_OPENING = ("timeline", "ready")
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) ([A-Z]{3,4}|[+-]\d\d(?::?\d\d)?) .*?LOG: +(.*)")
_ZONES = {"UTC": 0, "GMT": 0, "WIB": 7, "WITA": 8, "WIT": 9}
_FOREVER = 2**62


@dataclass(frozen=True)
class Event:
    """One line that matters. `at` is nanoseconds of CLOCK_REALTIME."""

    at: int
    kind: str


@dataclass(frozen=True)
class Opening:
    """One time that a site was open for writes, as wide as it can have been, in CLOCK_REALTIME.

    `end` is None when the log ends with the site open. `killed`: nobody wrote the end down, so `end`
    is only the next start, which bounds it from above.
    """

    start: int
    end: int | None
    killed: bool = False


def events(text: str) -> list[Event]:
    """Return what the log says, in its order. ProbeError: a time zone that cannot be understood."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        kind = next((kind for kind, words in _KINDS if words in match[3]), None)
        if kind:
            found.append(Event(_nanoseconds(match[1], match[2]), kind))
    return found


def _nanoseconds(text: str, zone: str) -> int:
    if zone in _ZONES:
        shift = timedelta(hours=_ZONES[zone])
    elif zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    else:
        raise ProbeError(
            f"PostgreSQL's log is written in time zone {zone}, which is not known here.",
            hint="Set log_timezone = 'UTC' in the lab.",
        )
    moment = datetime.fromisoformat(text).replace(tzinfo=timezone(shift))
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86400 + elapsed.seconds) * SECOND + elapsed.microseconds * 1000


def openings(found: Sequence[Event]) -> list[Opening]:
    """Return the times at which the site was open for writes."""
    result: list[Opening] = []
    start: int | None = None
    for event in found:
        if event.kind in _OPENING and start is None:
            start = event.at
        elif event.kind == "stopped" and start is not None:
            result.append(Opening(start, event.at))
            start = None
        elif event.kind in ("start", "interrupted") and start is not None:
            result.append(Opening(start, event.at, killed=True))
            start = None
    if start is not None:
        result.append(Opening(start, None))
    return result


def moments(text: str, samples: Sequence[Sample]) -> list[Moment]:
    """Return when the log's lines were written, on the probes' clock."""
    offset = _offset(samples)
    return [Moment(event.at - offset, event.kind in _OPENING) for event in events(text)]


def cross_check(
    logs: Mapping[str, str], samples: Mapping[str, Sequence[Sample]], window: Span
) -> tuple[float, tuple[str, ...]]:
    """Compare the logs (site -> text) with the probes.

    Returns for how many milliseconds the logs allow two writable sites, and the problems.
    """
    problems: list[str] = []
    spans: dict[str, list[Span]] = {}
    for site, own in sorted(samples.items()):
        found = events(logs.get(site, ""))
        if not found:
            problems.append(f"PostgreSQL's log at {site} says nothing about its starts and stops")
            continue
        spans[site] = [_in_monotonic(opening, own) for opening in openings(found)]
        first = found[0].at - _offset(own)
        outside = [
            s
            for s in own
            if s.outcome == "ok"
            and s.start > first
            and not any(span.start - TOLERANCE <= s.end and s.start <= span.end + TOLERANCE for span in spans[site])
        ]
        if outside:
            problems.append(
                f"{len(outside)} writes were acknowledged at {site} while its PostgreSQL log says it was not open"
            )
    inside = {
        site: [Span(max(s.start, window.start), min(s.end, window.end)) for s in own] for site, own in spans.items()
    }
    both = sum(overlap(a, b) for a, b in itertools.combinations(inside.values(), 2))
    if both > 0:
        problems.append(f"PostgreSQL's logs allow two writable sites for {both / MILLISECOND:.0f} ms")
    return round(both / MILLISECOND, 3), tuple(problems)


def _offset(samples: Sequence[Sample]) -> int:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC, which a clock that is being adjusted moves little."""
    return sorted(sample.offset for sample in samples)[len(samples) // 2] if samples else 0


def _in_monotonic(opening: Opening, samples: Sequence[Sample]) -> Span:
    """Bring an opening to the probes' clock. An end that the log does not know comes from the probe.

    That is the last acknowledgement before the probe had evidence that the server was gone; without
    such evidence the site counts as open up to the bound that the log gives, or for ever.
    """
    offset = _offset(samples)
    start = opening.start - offset
    bound = _FOREVER if opening.end is None else opening.end - offset
    if opening.end is not None and not opening.killed:
        return Span(start, bound)
    last = start
    for sample in samples:
        if start - TOLERANCE <= sample.start <= bound:
            if sample.outcome == "ok":
                last = max(last, sample.end)
            elif sample.outcome == "refused":
                return Span(start, min(last, bound))
    return Span(start, bound)
