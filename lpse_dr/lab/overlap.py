"""From the logs of the write probes to figures: were two sites ever writable, and for how long was none?

Pure functions. Times are nanoseconds of CLOCK_MONOTONIC, which all containers of a machine share.

Definitions, chosen so that an error makes the result worse and never better:

*Writable*: from the start of an acknowledged attempt to the end of the last one after it with no
evidence between them that the site was not writable. Evidence is `readonly` or `refused`. An `error`
(a time-out, a connection cut in the middle) is no evidence, and neither is a gap.

*Blind*: a stretch longer than 100 ms, ten samples, in which a site gave no sample. An acknowledged attempt covers its
whole duration, because the site counts as writable throughout. Any other outcome is known only at
the moment it ended.

*Bridged*: a stretch that would be blind, but is at most 500 ms long, lies between two samples that say
the same, and PostgreSQL's own log of that site, which names every start, stop and promotion, has no
such line in it; or between two that say "not writable", and the log has no line in it that opens the
site for writes (a standby that starts says one thing and then the other). A busy machine makes these:
nobody woke the probe. They are reported apart and are not blind, because the second witness saw what
the probe did not.

*Database outage*: the longest time between two consecutive acknowledgements, whichever sites gave
them; what is still missing at the end of the window counts too. Where the one before it and the one
after it are of two sites, it is the outage of a switch-over, and declared by itself: nobody had a write
acknowledged in it, so a probe that sees less there hides no second writable site.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import LpseDrError

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
BLIND_LIMIT = 100 * MILLISECOND
SPARSEST = 50 * MILLISECOND  # one sample in this time at the least, on average
BRIDGE_LIMIT = 500 * MILLISECOND
# A line of PostgreSQL's log is written a moment after the fact, and its time is cut to the millisecond.
TOLERANCE = 50 * MILLISECOND
FEWEST_SAMPLES = 20
_OUTCOMES = frozenset({"ok", "readonly", "refused", "error"})
_EVIDENCE = frozenset({"readonly", "refused"})


class ProbeError(LpseDrError):
    """A probe's log is missing or unreadable: nothing can be said about two writable sites."""

    error_id = "lab.probe"


@dataclass(frozen=True)
class Span:
    """A stretch of time, in nanoseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Its duration in nanoseconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Sample:
    """One attempt of a probe. `offset` is CLOCK_REALTIME minus CLOCK_MONOTONIC at its start."""

    start: int
    end: int
    outcome: str
    offset: int = 0


@dataclass(frozen=True)
class Moment:
    """A line of PostgreSQL's log about its starts and stops. ``opens``: from here on it may take writes."""

    at: int
    opens: bool


@dataclass(frozen=True)
class Outage:
    """A declared stretch in which a site (None: every site) may give no samples."""

    span: Span
    site: str | None = None


@dataclass(frozen=True)
class WriteReport:
    """What the probes say about a window. `problems` is empty if the figures can be trusted and are good."""

    both_writable_milliseconds: float
    blind_milliseconds: float
    bridged_milliseconds: float
    samples: int
    samples_by_site: dict[str, int]
    database_outage_seconds: float | None
    outage_from: str | None
    outage_to: str | None
    problems: tuple[str, ...]


def parse(text: str) -> tuple[str, list[Sample]]:
    """Return site and samples of a probe's log. A torn last line is left out; anything else raises ProbeError."""
    lines = text.split("\n")
    complete = lines[:-1]  # what follows the last line feed was cut off in writing, or is empty
    try:
        site = str(json.loads(complete[0])["site"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise ProbeError("The probe's log has no header.", detail=text[:80]) from error
    samples = []
    for number, line in enumerate(complete[1:], start=2):
        try:
            _, start, end, start_unix, _, outcome = json.loads(line)[:6]
            sample = Sample(int(start), int(end), outcome, int(start_unix) - int(start))
        except (ValueError, TypeError) as error:
            raise ProbeError(
                f"Line {number} of the probe's log at {site} is unreadable.", detail=line[:80]
            ) from error
        if outcome not in _OUTCOMES or sample.end < sample.start:
            raise ProbeError(f"Line {number} of the probe's log at {site} makes no sense.", detail=line[:80])
        samples.append(sample)
    return site, sorted(samples, key=lambda s: s.start)


def writable_spans(samples: Iterable[Sample]) -> list[Span]:
    """Return the stretches in which a site counts as writable."""
    spans: list[Span] = []
    open_span: Span | None = None
    for sample in samples:
        if sample.outcome == "ok":
            open_span = Span(open_span.start if open_span else sample.start, sample.end)
        elif sample.outcome in _EVIDENCE and open_span:
            spans.append(open_span)
            open_span = None
    if open_span:
        spans.append(open_span)
    return spans


def clip(spans: Iterable[Span], window: Span) -> list[Span]:
    """Return what lies inside the window."""
    clipped = (Span(max(s.start, window.start), min(s.end, window.end)) for s in spans)
    return [span for span in clipped if span.length > 0]


def overlap(first: Sequence[Span], second: Sequence[Span]) -> int:
    """Return for how many nanoseconds both lists hold. Within each list spans do not overlap."""
    return sum(max(0, min(a.end, b.end) - max(a.start, b.start)) for a in first for b in second)


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Return the spans without the holes."""
    rest = list(spans)
    for hole in holes:
        pieces = []
        for span in rest:
            pieces.append(Span(span.start, min(span.end, hole.start)))
            pieces.append(Span(max(span.start, hole.end), span.end))
        rest = [piece for piece in pieces if piece.length > 0]
    return rest


def blind_spans(
    samples: Iterable[Sample],
    window: Span,
    holes: Iterable[Span] = (),
    log_moments: Sequence[Moment] | None = None,
) -> tuple[list[Span], list[Span]]:
    """Return the blind stretches outside the holes, and those that the log bridges.

    `log_moments` are the times of the lines in PostgreSQL's log; None (no log) bridges nothing.
    """
    gaps: list[Span] = []
    bridged: list[Span] = []
    known, before = window.start, ""
    for sample in samples:
        gap = Span(known, sample.start if sample.outcome == "ok" else sample.end)
        if _bridges(gap, before, sample.outcome, log_moments):
            bridged.append(gap)
        else:
            gaps.append(gap)
        if sample.end >= known:
            known, before = sample.end, sample.outcome
    gaps.append(Span(known, window.end))
    holes = list(holes)
    blind, seen = (
        [span for span in subtract(clip(spans, window), holes) if span.length > BLIND_LIMIT]
        for spans in (gaps, bridged)
    )
    return blind, seen


def _bridges(gap: Span, before: str, after: str, log_moments: Sequence[Moment] | None) -> bool:
    closed = before in _EVIDENCE and after in _EVIDENCE
    if log_moments is None or gap.length > BRIDGE_LIMIT or not (closed or before == after == "ok"):
        return False
    near = (moment for moment in log_moments if gap.start - TOLERANCE <= moment.at <= gap.end + TOLERANCE)
    return not any(moment.opens or not closed for moment in near)


@dataclass(frozen=True)
class Silence:
    """A time between two consecutive acknowledgements. A site of None is the window's own end."""

    span: Span
    before: str | None
    after: str | None

    @property
    def moved(self) -> bool:
        """True if another site acknowledged after it than before it: the silence of a switch-over."""
        return bool(self.before and self.after and self.before != self.after)


def silences(samples: Mapping[str, Sequence[Sample]], window: Span) -> list[Silence]:
    """Return the times without an acknowledgement, in their order; none if not one write was acknowledged.

    A silence that touches the window counts whole, so that an outage which began before it is not shortened.
    """
    acknowledged: list[tuple[int, str | None]] = sorted(
        (sample.end, site) for site, own in samples.items() for sample in own if sample.outcome == "ok"
    )
    if not any(window.start <= at <= window.end for at, _ in acknowledged):
        return []
    ends: list[tuple[int, str | None]] = list(acknowledged)
    if ends[0][0] > window.start:
        ends.insert(0, (window.start, None))
    if ends[-1][0] < window.end:
        ends.append((window.end, None))
    return [
        Silence(Span(before, after), site_before, site_after)
        for (before, site_before), (after, site_after) in itertools.pairwise(ends)
        if after >= window.start and before <= window.end
    ]


def longest(found: Iterable[Silence]) -> Silence | None:
    """Return the longest of them, or None."""
    return max(found, key=lambda silence: silence.span.length, default=None)


def report(
    samples: Mapping[str, Sequence[Sample]],
    window: Span,
    outages: Sequence[Outage] = (),
    log_moments: Mapping[str, Sequence[Moment]] | None = None,
) -> WriteReport:
    """Judge the samples of all sites in a window.

    Problems: fewer than two sites, too few samples, blindness outside the declared outages, two writable
    sites, nobody writable at any moment.
    """
    problems = []
    if len(samples) < 2:
        problems.append(f"probes of two sites are needed, there are {len(samples)}")
    if window.length <= 0:
        problems.append("the window of the load is empty")
    found = silences(samples, window)
    silence = longest(found)
    if moved := longest(one for one in found if one.moved):
        outages = [*outages, Outage(Span(moved.span.start - TOLERANCE, moved.span.end + TOLERANCE))]
    blind = bridged = 0
    counts = {}
    for site, own in sorted(samples.items()):
        holes = [outage.span for outage in outages if outage.site in (None, site)]
        counts[site] = sum(window.start <= s.end and s.start <= window.end for s in own)
        watched = sum(span.length for span in subtract([window], holes)) if window.length > 0 else 0
        fewest = max(FEWEST_SAMPLES, watched // SPARSEST)
        if counts[site] < fewest:
            problems.append(f"the probe at {site} gave {counts[site]} samples, at least {fewest} are needed")
        unseen, seen_by_log = blind_spans(own, window, holes, (log_moments or {}).get(site))
        blind += sum(span.length for span in unseen)
        bridged += sum(span.length for span in seen_by_log)
        if unseen:
            worst = max(span.length for span in unseen) / MILLISECOND
            problems.append(f"the probe at {site} was blind {len(unseen)} times, at most {worst:.0f} ms")
    spans = [clip(writable_spans(own), window) for own in samples.values()]
    both = sum(overlap(a, b) for a, b in itertools.combinations(spans, 2))
    if both:
        problems.append(f"two sites were writable for {both / MILLISECOND:.1f} ms")
    if silence is None:
        problems.append("no probe had a write acknowledged")
    return WriteReport(
        both_writable_milliseconds=round(both / MILLISECOND, 3),
        blind_milliseconds=round(blind / MILLISECOND, 3),
        bridged_milliseconds=round(bridged / MILLISECOND, 3),
        samples=sum(counts.values()),
        samples_by_site=counts,
        database_outage_seconds=None if silence is None else round(silence.span.length / SECOND, 4),
        outage_from=silence.before if silence else None,
        outage_to=silence.after if silence else None,
        problems=tuple(problems),
    )
