"""From samples to figures: table tests of the pure functions."""

from __future__ import annotations

import json

import pytest

from lpse_dr.lab.overlap import (
    MILLISECOND,
    SECOND,
    Moment,
    Outage,
    ProbeError,
    Sample,
    Span,
    blind_spans,
    longest,
    overlap,
    parse,
    report,
    silences,
    subtract,
    writable_spans,
)


def ms(*pairs: tuple[float, float]) -> list[Span]:
    return [Span(int(a * MILLISECOND), int(b * MILLISECOND)) for a, b in pairs]


def sample(start: float, end: float, outcome: str) -> Sample:
    return Sample(int(start * MILLISECOND), int(end * MILLISECOND), outcome)


def every_ten(start: int, end: int, outcome: str) -> list[Sample]:
    """Return a sample every 10 ms that takes 1 ms."""
    return [sample(at, at + 1, outcome) for at in range(start, end, 10)]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("", []),
        ("rrr", []),
        ("ooo", [(0, 21)]),
        ("orr", [(0, 1)]),
        ("oro", [(0, 1), (20, 21)]),
        ("oxo", [(0, 1), (20, 21)]),
        ("oeo", [(0, 21)]),  # a time-out says nothing: the site counts as writable throughout
        ("eoe", [(10, 11)]),
        ("roor", [(10, 21)]),
    ],
)
def test_writable_spans(outcomes: str, expected: list[tuple[float, float]]) -> None:
    names = {"o": "ok", "r": "readonly", "x": "refused", "e": "error"}
    samples = [sample(10 * n, 10 * n + 1, names[letter]) for n, letter in enumerate(outcomes)]
    assert writable_spans(samples) == ms(*expected)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [(0, 10)], 0),
        ([(0, 10)], [(10, 20)], 0),
        ([(0, 10)], [(9, 20)], 1),
        ([(0, 100)], [(10, 20), (30, 35)], 15),
        ([(0, 10), (20, 30)], [(5, 25)], 10),
    ],
)
def test_overlap(first: list[tuple[float, float]], second: list[tuple[float, float]], expected: float) -> None:
    assert overlap(ms(*first), ms(*second)) == expected * MILLISECOND
    assert overlap(ms(*second), ms(*first)) == expected * MILLISECOND


@pytest.mark.parametrize(
    ("spans", "holes", "expected"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(2, 4)], [(0, 2), (4, 10)]),
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(20, 30)], [(0, 10)]),
        ([(0, 10)], [(-5, 5), (3, 8)], [(8, 10)]),
    ],
)
def test_subtract(
    spans: list[tuple[float, float]], holes: list[tuple[float, float]], expected: list[tuple[float, float]]
) -> None:
    assert subtract(ms(*spans), ms(*holes)) == ms(*expected)


WINDOW = Span(0, 1000 * MILLISECOND)
DENSE = every_ten(0, 1000, "readonly")


def without(start: int, end: int, outcome: str = "readonly") -> list[Sample]:
    return [s for s in every_ten(0, 1000, outcome) if not start <= s.start / MILLISECOND < end]


@pytest.mark.parametrize(
    ("samples", "holes", "expected"),
    [
        (DENSE, [], []),
        ([], [], [(0, 1000)]),
        (without(500, 540), [], []),  # 49 ms from the end of one to the end of the next
        (without(500, 600), [], [(491, 601)]),
        (without(500, 600, "ok"), [], [(491, 600)]),  # an acknowledged attempt covers itself
        (without(500, 700), [(480, 710)], []),
        (without(500, 700), [(520, 720)], []),  # 29 ms remain, which is not blind
        (without(500, 700), [(500, 600)], [(600, 701)]),
        (without(900, 1000), [], [(891, 1000)]),  # the probe died before the end
        (without(0, 100), [], [(0, 101)]),  # or began too late
        ([*without(500, 800), sample(495, 795, "ok")], [], []),  # slow, but acknowledged
        ([*without(500, 800), sample(495, 795, "error")], [], [(491, 795)]),  # slow, and says nothing
    ],
)
def test_blind(samples: list[Sample], holes: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    ordered = sorted(samples, key=lambda s: s.start)
    assert blind_spans(ordered, WINDOW, ms(*holes)) == (ms(*expected), [])


@pytest.mark.parametrize(
    ("samples", "moments", "bridged"),
    [
        (without(500, 600), None, False),  # no log, no second witness
        (without(500, 600), [], True),
        (without(500, 600), [-560], False),  # the log says inside that it opens (here: below nothing)
        (without(500, 600), [-640], False),  # or so near that the clocks could differ
        (without(500, 600), [-800], True),
        (without(300, 900), [], False),  # too long
        ([*every_ten(0, 500, "readonly"), *every_ten(600, 1000, "ok")], [], False),  # before and after differ
        ([*every_ten(0, 500, "refused"), *every_ten(600, 1000, "readonly")], [560], True),  # a standby that starts
        ([*every_ten(0, 500, "refused"), *every_ten(600, 1000, "readonly")], [-560], False),  # or one that was open
        (without(500, 600, "ok"), [560], False),
        (without(500, 600, "ok"), [], True),
    ],
)
def test_only_short_gaps_between_like_samples_are_bridged_by_the_log(
    samples: list[Sample], moments: list[int] | None, bridged: bool
) -> None:
    at = None if moments is None else [Moment(abs(moment) * MILLISECOND, moment < 0) for moment in moments]
    blind, seen = blind_spans(samples, WINDOW, (), at)
    assert (bool(blind), bool(seen)) == (not bridged, bridged)


@pytest.mark.parametrize(
    ("pdc", "drc", "expected"),
    [
        (every_ten(0, 1000, "ok"), DENSE, (0.010, "pdc", "pdc")),
        (
            [*every_ten(0, 500, "ok"), *every_ten(500, 1000, "refused")],
            [*every_ten(0, 700, "readonly"), *every_ten(700, 1000, "ok")],
            (0.210, "pdc", "drc"),
        ),
        ([*every_ten(0, 500, "ok"), *every_ten(500, 1000, "refused")], DENSE, (0.509, "pdc", None)),
        (DENSE, [*every_ten(0, 300, "readonly"), *every_ten(300, 1000, "ok")], (0.301, None, "drc")),
        (DENSE, DENSE, None),
        ([sample(-300, -299, "ok"), *every_ten(0, 1000, "refused"), sample(1200, 1201, "ok")], DENSE, None),
        ([sample(-300, -299, "ok"), *every_ten(200, 1000, "ok")], DENSE, (0.5, "pdc", "pdc")),
    ],
)
def test_database_outage(pdc: list[Sample], drc: list[Sample], expected: object) -> None:
    found = longest(silences({"pdc": pdc, "drc": drc}, WINDOW))
    assert (found and (found.span.length / SECOND, found.before, found.after)) == expected


def switched(gap: int = 100) -> dict[str, list[Sample]]:
    """Return the samples of a good switch-over at 500 ms that takes `gap` ms."""
    return {
        "pdc": [*every_ten(0, 500, "ok"), *every_ten(500, 1000, "refused")],
        "drc": [*every_ten(0, 500 + gap, "readonly"), *every_ten(500 + gap, 1000, "ok")],
    }


def test_a_good_switch_over_has_no_problems() -> None:
    result = report(switched(), WINDOW)
    assert result.problems == ()
    assert (result.both_writable_milliseconds, result.blind_milliseconds) == (0, 0)
    assert (result.samples, result.samples_by_site) == (200, {"drc": 100, "pdc": 100})
    assert (result.database_outage_seconds, result.outage_from, result.outage_to) == (0.11, "pdc", "drc")


def test_a_slow_commit_after_the_switch_hides_neither_the_switch_nor_itself() -> None:
    samples = switched(gap=150)
    samples["pdc"] = [one for one in samples["pdc"] if not 500 <= one.start / MILLISECOND < 650]
    samples["drc"] = [one for one in samples["drc"] if not 700 <= one.start / MILLISECOND < 950]
    samples["drc"] = sorted([*samples["drc"], sample(700, 945, "ok")], key=lambda one: one.start)
    result = report(samples, WINDOW)
    assert result.problems == ()
    assert (result.outage_from, result.outage_to) == ("drc", "drc")


def test_two_writable_sites_are_a_problem() -> None:
    result = report(switched(gap=-100), WINDOW)
    assert result.both_writable_milliseconds == 91.0
    assert any("two sites were writable" in problem for problem in result.problems)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({}, "two sites are needed"),
        ({"pdc": every_ten(0, 1000, "ok")}, "two sites are needed"),
        ({"pdc": every_ten(0, 1000, "ok"), "drc": []}, "drc gave 0 samples"),
        ({"pdc": every_ten(0, 1000, "ok"), "drc": DENSE[::6]}, "drc gave 17 samples"),
        ({"pdc": every_ten(0, 1000, "ok"), "drc": without(300, 400)}, "drc was blind 1 times"),
        ({"pdc": DENSE, "drc": DENSE}, "no probe had a write"),
    ],
)
def test_missing_evidence_is_a_problem(samples: dict[str, list[Sample]], words: str) -> None:
    assert any(words in problem for problem in report(samples, WINDOW).problems)


def test_a_declared_outage_excuses_one_site_only() -> None:
    samples = {"pdc": [*every_ten(0, 300, "ok"), *every_ten(700, 1000, "ok")], "drc": without(300, 700)}
    hole = Span(250 * MILLISECOND, 750 * MILLISECOND)
    both = report(samples, WINDOW, [Outage(hole)])
    one = report(samples, WINDOW, [Outage(hole, "pdc")])
    assert both.problems == ()
    assert [problem.split(" was")[0] for problem in one.problems] == ["the probe at drc"]


def test_an_empty_window_proves_nothing() -> None:
    assert any("window" in problem for problem in report(switched(), Span(5, 5)).problems)


HEADER = json.dumps({"site": "pdc", "pid": 1})


def test_parse_leaves_a_torn_last_line_out() -> None:
    text = f'{HEADER}\n[0, 5, 9, {SECOND + 5}, {SECOND + 9}, "ok"]\n[1, 15, 1'
    assert parse(text) == ("pdc", [Sample(5, 9, "ok", SECOND)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,  # no line feed: torn
        "[]\n",
        f"{HEADER}\nnonsense\n",
        f'{HEADER}\n[0, 5, 9, 5, 9, "perhaps"]\n',
        f'{HEADER}\n[0, 9, 5, 5, 9, "ok"]\n',
        f"{HEADER}\n[0, 5]\n",
        f"{HEADER}\n17\n",
    ],
)
def test_parse_refuses_everything_else(text: str) -> None:
    with pytest.raises(ProbeError):
        parse(text)
