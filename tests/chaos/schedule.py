"""From a seed to what is done, what breaks and when. Pure: the same seed is the same schedule on any machine."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Borders of a planned switch-over and of a failover, in their playbooks' own names.
SWITCHOVER_STEPS = (
    "claim", "prepare_epoch", "arm_target", "first_pass", "checkpoint", "hold", "drain", "stop_application",
    "changed_last", "pull_last", "confirm_files", "fence", "stop", "await_replay", "fire", "promote", "commit_epoch",
    "prove_pool", "release", "point_name", "commit_epoch_everywhere", "start_standby", "drop_old_slot",
    "start_old_application", "turn_files", "disarm", "front_door",
)  # fmt: skip
FAILOVER_STEPS = (
    "claim", "prepare_epoch", "arm_target", "hold", "begin", "fire", "promote", "commit_epoch", "prove_pool", "release",
    "point_name", "rows", "list_documents", "clear_fired",
)  # fmt: skip
# Faults of a planned switch-over; both sites live before it.
SWITCHOVER_FAULTS = (
    "kill_run", "kill_postgres_source", "kill_postgres_target", "lose_target_db", "lose_target_app", "lose_source_app",
    "lose_target_gateway", "cut_wan", "cut_databases", "cut_jump_source", "freeze_target_db", "freeze_source_app",
    "no_ssh_target_db", "restart_haproxy_source", "restart_haproxy_target",
)  # fmt: skip
# Faults of a failover: the old site is gone already.
FAILOVER_FAULTS = (
    "kill_run", "kill_postgres_target", "lose_target_app", "freeze_target_db", "restart_haproxy_target", "no_ssh_target_db",
    "old_returns",
)  # fmt: skip
# After these a run may honestly not know how it ended: whom it would have to ask was out of reach.
CUTS_CONTACT = frozenset(
    {"lose_target_db", "lose_target_app", "lose_source_app", "lose_target_gateway", "cut_wan", "cut_jump_source",
     "freeze_target_db", "freeze_source_app", "no_ssh_target_db", "kill_run"}
)  # fmt: skip
OPERATIONS = ("switchover", "failover")


@dataclass(frozen=True)
class Schedule:
    """One run. ``alone_seconds``: so long the site that is lost takes bids of which the other hears nothing."""

    seed: int
    operation: str
    fault: str
    step: str
    moment: str
    frozen_seconds: float
    alone_seconds: float
    kill_failback_at: str

    def describe(self) -> str:
        """Return it as one line."""
        text = f"{self.operation}: {self.fault} {self.moment} {self.step}"
        if self.operation == "failover":
            text += f"; {self.alone_seconds:g} s alone; failback killed at {self.kill_failback_at or 'no step'}"
        return text


def plan(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    dice = random.Random(seed)
    operation = dice.choices(OPERATIONS, (3, 1))[0]
    lost = operation == "failover"
    return Schedule(
        seed=seed,
        operation=operation,
        fault=dice.choice(FAILOVER_FAULTS if lost else SWITCHOVER_FAULTS),
        step=dice.choice(FAILOVER_STEPS if lost else SWITCHOVER_STEPS),
        moment=dice.choice(("before", "during")),
        frozen_seconds=round(dice.uniform(1, 12), 1),
        alone_seconds=dice.choice((0.0, 0.4, 0.8)) if lost else 0.0,
        kill_failback_at=dice.choice(("", "", "copy", "adopt", "start_standby")) if lost else "",
    )
