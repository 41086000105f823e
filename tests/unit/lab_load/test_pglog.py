"""PostgreSQL's log as the second witness. The lines are recorded ones, of version 15."""

from __future__ import annotations

import pytest

from lpse_dr.lab.overlap import SECOND, ProbeError, Sample, Span
from lpse_dr.lab.pglog import Opening, cross_check, events, moments, openings

BASE = 1795495811 * SECOND  # 2026-11-24 04:50:11 UTC
SHIFT = BASE - 100 * SECOND  # in these tests the monotonic clock shows 100 s at that moment


def line(at: float, text: str, zone: str = "UTC", hour: int = 4) -> str:
    whole, thousandth = divmod(round(at * 1000), 1000)
    return f"2026-11-24 {hour:02}:50:{11 + whole:02}.{thousandth:03} {zone} [141] LOG:  {text}"


START = "starting PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64-pc-linux-gnu"
READY = "database system is ready to accept connections"
READ_ONLY = "database system is ready to accept read-only connections"
STOPPING = "received fast shutdown request"
STOPPED = "database system is shut down"
TIMELINE = "selected new timeline ID: 2"
INTERRUPTED = "database system was interrupted; last known up at 2026-11-24 04:48:14 UTC"

PROMOTED = [(0, START), (0.1, "entering standby mode"), (0.2, READ_ONLY), (1, "received promote request")]
PROMOTED += [(1.018, TIMELINE), (1.093, "archive recovery complete"), (1.156, READY)]


def at(seconds: float) -> int:
    return BASE + round(seconds * 1000) * SECOND // 1000


def log(*lines: tuple[float, str]) -> str:
    return "\n".join(line(when, text) for when, text in lines) + "\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        ([(0, START), (0.2, READY)], [Opening(at(0.2), None)]),
        ([(0, START), (0.2, READY), (1, STOPPING), (1.1, STOPPED)], [Opening(at(0.2), at(1.1))]),
        (PROMOTED, [Opening(at(1.018), None)]),
        ([(0, START), (0.1, "entering standby mode"), (0.2, READ_ONLY), (1, STOPPING), (1.1, STOPPED)], []),
        ([(0, START), (0.2, READY), (3, START), (3.1, INTERRUPTED)], [Opening(at(0.2), at(3), killed=True)]),
        (
            [(0, START), (0.2, READY), (2, "all server processes terminated; reinitializing"), (2.5, READY)],
            [Opening(at(0.2), at(2), killed=True), Opening(at(2.5), None)],
        ),
    ],
)
def test_openings(lines: list[tuple[float, str]], expected: list[Opening]) -> None:
    assert openings(events(log(*lines))) == expected


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 4), ("GMT", 4), ("WITA", 12), ("+08", 12), ("-03:30", 1)])
def test_time_zones(zone: str, hour: int) -> None:
    shift = 30 * 60 * SECOND if zone == "-03:30" else 0
    assert events(line(0, READY, zone, hour))[0].at == BASE + shift


def test_an_unknown_time_zone_is_an_error() -> None:
    with pytest.raises(ProbeError):
        events(line(0, READY, "PST"))


def test_lines_with_user_and_database_and_other_lines() -> None:
    text = "nonsense\n" + line(0, "checkpoint starting: time") + "\n"
    text += line(1, STOPPED).replace("LOG:", "postgres@epns_prod LOG:")
    assert [event.kind for event in events(text)] == ["stopped"]


def probe(start: float, end: float, outcome: str) -> list[Sample]:
    """Return samples every 10 ms; seconds after BASE."""
    first, last = round(start * 100), round(end * 100)
    step = SECOND // 100
    zero = 100 * SECOND
    return [Sample(zero + n * step, zero + n * step + step // 10, outcome, SHIFT) for n in range(first, last)]


PDC = log((0, START), (0.1, READY), (0.9, STOPPING), (0.95, STOPPED))
DRC = log(*PROMOTED)
PROBES = {
    "pdc": [*probe(0.2, 0.9, "ok"), *probe(0.9, 2, "refused")],
    "drc": [*probe(0.2, 1.1, "readonly"), *probe(1.1, 2, "ok")],
}
WINDOW = Span(100 * SECOND, 102 * SECOND)


def test_a_good_switch_over_agrees() -> None:
    assert cross_check({"pdc": PDC, "drc": DRC}, PROBES, WINDOW) == (0.0, ())
    found = moments(PDC, PROBES["pdc"])
    assert [moment.opens for moment in found] == [False, True, False, False]
    assert found[-1].at == 100 * SECOND + 950 * SECOND // 1000


def test_logs_that_allow_two_writable_sites() -> None:
    late = log((0, START), (0.1, READY), (1.5, STOPPING), (1.6, STOPPED))
    both, problems = cross_check({"pdc": late, "drc": DRC}, PROBES, WINDOW)
    assert both == 582.0
    assert len(problems) == 1


def test_a_server_that_still_runs_counts_as_writable() -> None:
    running = log((0, START), (0.1, READY))
    probes = {**PROBES, "pdc": probe(0.2, 2, "ok")}
    assert cross_check({"pdc": running, "drc": DRC}, probes, WINDOW)[0] == 982.0


def test_the_end_of_a_killed_server_comes_from_the_probe() -> None:
    killed = log((0, START), (0.1, READY))
    assert cross_check({"pdc": killed, "drc": DRC}, PROBES, WINDOW) == (0.0, ())


def test_an_acknowledgement_outside_the_log_is_a_contradiction() -> None:
    probes = {**PROBES, "pdc": [*probe(0.2, 0.9, "ok"), *probe(1.5, 1.55, "ok")]}
    _, problems = cross_check({"pdc": PDC, "drc": DRC}, probes, WINDOW)
    assert problems == ("5 writes were acknowledged at pdc while its PostgreSQL log says it was not open",)


@pytest.mark.parametrize("logs", [{}, {"pdc": PDC}, {"pdc": PDC, "drc": "rotated away\n"}])
def test_a_missing_log_is_a_problem(logs: dict[str, str]) -> None:
    _, problems = cross_check(logs, PROBES, WINDOW)
    assert any("says nothing" in problem for problem in problems)
