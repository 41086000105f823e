"""The planned switch-over on a real lab: under load, killed at every border, undone, refused."""

from __future__ import annotations

import threading
import time

import pytest

from lpse_dr.lab import power
from lpse_dr.lab.model import Lab
from lpse_dr.lab.trial import measure
from lpse_dr.runner.tree import cancel_below

from . import reality
from .conftest import lpse_dr, other
from .killing import Stopped, play, run_and_kill

pytestmark = pytest.mark.lab

# Where a run is killed, and whether the step is then about to begin or under way. Every border of a phase, and the
# middle of the critical section. The everyday half takes turns with the other, which script/test --full adds.
BORDERS = [
    ("prepare_epoch", "before", "daily"),
    ("first_pass", "during", "full"),
    ("hold", "before", "full"),
    ("drain", "before", "daily"),
    ("changed_last", "before", "full"),
    ("stop", "before", "daily"),
    ("stop", "during", "full"),
    ("await_replay", "before", "daily"),
    ("fire", "before", "full"),
    ("promote", "before", "daily"),
    ("promote", "during", "full"),
    ("commit_epoch", "before", "full"),
    ("release", "before", "daily"),
    ("point_name", "before", "full"),
    ("start_standby", "before", "daily"),
    ("drop_old_slot", "before", "full"),
    ("turn_files", "during", "full"),
    ("front_door", "before", "full"),
]


def switch(lab: Lab, source: str, target: str, *more: str) -> dict[str, object]:
    """Switch over as a script would; return the envelope with the exit code in it."""
    answer = lpse_dr(
        "--lab",
        lab.name,
        "--output",
        "json",
        "switchover",
        "--from",
        source,
        "--to",
        target,
        "--yes",
        "--reason",
        "test",
        *more,
    )
    assert answer.json["exit_code"] == answer.code, answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.json


def test_under_load_nothing_is_lost_and_nobody_sees_an_error(lab: Lab, active: str) -> None:
    trial = measure(lab, active, other(active), clients=4, around_seconds=4)
    assert (trial.envelope["verdict"], trial.exit_code) == ("COMPLETED", 0), trial.envelope
    assert (trial.load.failed, trial.load.errors) == (0, {})
    assert trial.audit.lost == ()
    assert trial.audit.both_writable_milliseconds == 0
    assert trial.audit.active_site == other(active)
    assert trial.audit.acknowledged > 100
    assert trial.audit.database_outage_seconds is not None
    assert reality.leftovers(lab, other(active)) == {}


def test_the_same_command_again_changes_nothing(lab: Lab, active: str) -> None:
    before = reality.snapshot(lab)
    envelope = switch(lab, other(active), active)
    assert (envelope["verdict"], envelope["changed"]) == ("COMPLETED", False)
    assert reality.snapshot(lab) == before


def test_a_plan_shows_steps_and_changes_nothing(lab: Lab, active: str) -> None:
    before = reality.snapshot(lab)
    answer = lpse_dr("--lab", lab.name, "switchover", "--from", active, "--to", other(active), "--plan")
    assert answer.code == 0, answer.stderr
    assert "database.promote" in answer.stdout
    assert reality.snapshot(lab) == before


def test_plain_ansible_playbook_does_the_same_and_fails_when_refused(lab: Lab, active: str) -> None:
    done = play(lab, "switchover", {"from_site": active, "to_site": other(active)})
    assert done.returncode == 0, done.stdout[-2000:]
    assert reality.leftovers(lab, other(active)) == {}
    refused = play(lab, "switchover", {"from_site": active, "to_site": "mars"})
    assert refused.returncode != 0
    assert "REFUSED" in refused.stdout


@pytest.mark.parametrize(
    ("step", "moment"),
    [pytest.param(s, m, marks=[pytest.mark.full] if when == "full" else [], id=f"{m}-{s}") for s, m, when in BORDERS],
)
def test_killed_at_a_border_it_is_safe_named_and_finished_by_the_same_command(
    lab: Lab, active: str, step: str, moment: str
) -> None:
    target = other(active)
    run_and_kill(lab, {"from_site": active, "to_site": target}, step, moment)
    assert len(reality.writable_sites(lab)) <= 1
    seen = lpse_dr("--lab", lab.name, "--output", "json", "status")
    assert seen.json["sites"], seen.stdout
    assert len(seen.json["active"]) <= 1
    envelope = switch(lab, active, target)
    assert envelope["verdict"] == "COMPLETED", envelope["error"]
    assert reality.writable_sites(lab) == [target]
    assert reality.leftovers(lab, target) == {}


def test_a_run_that_was_frozen_can_do_nothing_once_another_has_taken_over(lab: Lab, active: str) -> None:
    """The first run is stopped before the source closes; a second takes over; the first is thawed and must be refused."""
    target = other(active)
    with Stopped(lab, {"from_site": active, "to_site": target}, "stop") as frozen:
        frozen.freeze()
        taken = play(lab, "switchover", {"from_site": active, "to_site": target, "lpse_dr_holder_alive": False})
        assert taken.returncode == 0, taken.stdout[-2000:]
        frozen.thaw()
        assert frozen.wait() != 0
        assert "operation.superseded" in frozen.output()
    assert reality.writable_sites(lab) == [target]
    assert reality.leftovers(lab, target) == {}


def test_an_upload_longer_than_the_limit_is_named_and_everything_is_as_before(lab: Lab, active: str) -> None:
    trial = measure(lab, active, other(active), clients=2, around_seconds=3, slow_upload_seconds=40)
    assert (trial.envelope["verdict"], trial.exit_code) == ("ROLLED_BACK", 4)
    assert trial.envelope["error"]["id"] == "traffic.upload_too_long"
    assert lab.hosts["vendor"].addresses["public"] in trial.envelope["error"]["found"]
    # At most the slow one itself, which the end of the load may cut; nobody else saw an error.
    assert trial.load.failed <= 1
    assert trial.audit.lost == ()
    assert reality.leftovers(lab, active) == {}


def test_cut_uploads_costs_exactly_that_one_request(lab: Lab, active: str) -> None:
    trial = measure(
        lab, active, other(active), clients=2, around_seconds=3, slow_upload_seconds=40, options=["--cut-uploads"]
    )
    assert (trial.envelope["verdict"], trial.exit_code) == ("COMPLETED", 0), trial.envelope
    assert (trial.load.failed, trial.audit.lost) == (1, ())
    assert reality.leftovers(lab, other(active)) == {}


@pytest.mark.parametrize("step", ["pull_last", "await_replay"])
def test_a_target_that_vanishes_before_the_point_of_no_return_is_undone(lab: Lab, active: str, step: str) -> None:
    target = other(active)
    victim = f"{target}-app" if step == "pull_last" else f"{target}-db"
    try:
        with Stopped(lab, {"from_site": active, "to_site": target}, step) as run:
            power.power_off(lab, victim)
            run.go_on()
            assert run.wait() != 0
            # The old state was reached, and the reading at the end could not prove it on the host that is gone.
            assert "INCOMPLETE" in run.output()
        assert reality.writable_sites(lab) == [active]
        assert reality.on(lab, f"{active}-gateway", "grep -c 'state open' /etc/haproxy/lpse-dr.map").strip() == "1"
    finally:
        power.power_on(lab, victim)
    time.sleep(3)
    # What the vanished host still holds is finished by the same command.
    envelope = switch(lab, active, target)
    assert envelope["verdict"] == "COMPLETED", envelope["error"]
    assert reality.leftovers(lab, target) == {}


def test_who_cancels_before_the_point_of_no_return_gets_back_what_was(lab: Lab, active: str) -> None:
    with Stopped(lab, {"from_site": active, "to_site": other(active)}, "checkpoint_again") as run:
        asked = threading.Thread(target=cancel_below, args=(run.process.pid,))
        asked.start()
        time.sleep(0.3)
        run.go_on()
        assert run.wait() != 0
        asked.join()
        assert "run.cancelled" in run.output()
        assert "ROLLED_BACK" in run.output()
        assert "hold" not in run.seen
    assert reality.writable_sites(lab) == [active]
    assert reality.leftovers(lab, active) == {}


def test_a_target_that_vanishes_after_it_got_the_order_is_unknown_and_the_source_stays_down(
    lab: Lab, active: str
) -> None:
    target = other(active)
    try:
        with Stopped(lab, {"from_site": active, "to_site": target}, "promote") as run:
            power.power_off(lab, f"{target}-db")
            run.go_on()
            assert run.wait() != 0
            assert "UNKNOWN" in run.output()
        assert reality.writable_sites(lab) == []
    finally:
        power.power_on(lab, f"{target}-db")
    time.sleep(3)
    assert len(reality.writable_sites(lab)) <= 1
    envelope = switch(lab, active, target)
    assert envelope["verdict"] == "COMPLETED", envelope["error"]
    assert reality.leftovers(lab, target) == {}
