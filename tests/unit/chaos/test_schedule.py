"""A seed is a schedule, on any machine and for ever; all operations and faults come up; every step exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos import schedule

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"


def test_a_seed_is_a_schedule() -> None:
    assert schedule.plan(7) == schedule.plan(7)
    assert len({schedule.plan(seed) for seed in range(50)}) == 50


def test_everything_comes_up() -> None:
    plans = [schedule.plan(seed) for seed in range(3000)]
    for operation, faults, steps in (
        ("switchover", schedule.SWITCHOVER_FAULTS, schedule.SWITCHOVER_STEPS),
        ("failover", schedule.FAILOVER_FAULTS, schedule.FAILOVER_STEPS),
    ):
        mine = [plan for plan in plans if plan.operation == operation]
        assert {plan.fault for plan in mine} == set(faults)
        assert {plan.step for plan in mine} == set(steps)
        assert {plan.moment for plan in mine} == {"before", "during"}


@pytest.mark.parametrize(
    ("playbook", "steps"), [("switchover", schedule.SWITCHOVER_STEPS), ("failover", schedule.FAILOVER_STEPS)]
)
def test_every_step_is_in_the_playbook(playbook: str, steps: tuple[str, ...]) -> None:
    known = set(re.findall(r"- name: (\w+)$", (PLAYBOOKS / f"{playbook}.yml").read_text(), re.M))
    assert set(steps) <= known
