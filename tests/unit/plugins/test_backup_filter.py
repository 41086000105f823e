"""Which sets are from before an infection, and with which each is compared."""

from __future__ import annotations

from typing import Any

import pytest

from lpse_dr.plugins.filter.backup import order

DAY = 86400


def held(day: int, **more: Any) -> dict[str, Any]:
    return {"set": f"202609{day:02d}T000000Z-pdc", "taken_at": f"2026-09-{day:02d}T00:00:00.000Z", "ended_at": f"2026-09-{day:02d}T01:00:00.000Z", "problem": None, "proof": "vault", **more}  # fmt: skip


SETS = [held(1), held(3), held(2), held(4)]


@pytest.mark.parametrize(
    ("since", "margin", "days"),
    [
        ("2026-09-05T00:00:00Z", 0, [4, 3, 2, 1]),
        ("2026-09-05T00:00:00Z", 3 * DAY, [1]),
        ("2026-09-05T02:00:00Z", 3 * DAY, [2, 1]),
        # Documents come until the end of the taking: a set that was being taken when it began is not from before.
        ("2026-09-04T00:30:00Z", 0, [3, 2, 1]),
        ("2026-09-01T00:00:00Z", 0, []),
        ("2026-09-05T08:00:00+08:00", 0, [4, 3, 2, 1]),
    ],
)
def test_the_newest_from_before_it_comes_first(since: str, margin: int, days: list[int]) -> None:
    found = order(SETS, since, margin)
    assert found["error"] == ""
    assert [item["set"][6:8] for item in found["sets"]] == [f"{day:02d}" for day in days]
    assert found["later"] == 4 - len(days)


def test_each_is_compared_with_the_next_older_one_that_can_be_read() -> None:
    found = order([held(3), held(2, problem="manifest_unreadable: x"), held(1)], "2026-09-09T00:00:00Z", 0)["sets"]
    assert [item["older"] for item in found] == [held(1)["set"], held(1)["set"], None]
    found = order([held(3), held(2, proof="forged"), held(1, proof="none")], "2026-09-09T00:00:00Z", 0)["sets"]
    assert [item["older"] for item in found] == [None, None, None]


@pytest.mark.parametrize("since", ["", "yesterday", None, "2026-09-05T00:00:00", "2999-01-01T00:00:00Z"])
def test_a_time_that_is_none(since: Any) -> None:
    found = order(SETS, since, 0)
    assert found["error"]
    assert found["sets"] == []


def test_a_manifest_cannot_make_a_set_older_than_its_name() -> None:
    forged = held(4, taken_at="2020-01-01T00:00:00.000Z", ended_at="2020-01-01T00:00:00.000Z")
    assert order([forged], "2026-09-03T00:00:00Z", 0)["sets"] == []


@pytest.mark.parametrize("more", [{"taken_at": None, "ended_at": None, "problem": "part_missing: x"}, {}])
def test_one_that_cannot_be_read_is_looked_into_too(more: dict[str, Any]) -> None:
    assert [item["set"] for item in order([held(4, **more)], "2026-09-06T00:00:00Z", 0)["sets"]] == [held(4)["set"]]


def test_a_name_that_is_no_time_is_never_before_anything() -> None:
    assert order([{"set": "99999999T999999Z-pdc"}], "2026-09-06T00:00:00Z", 0)["sets"] == []
