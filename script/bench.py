"""The figures of docs/PERFORMANCE.md. Called by script/bench.

Everything is measured in one run on one machine, so that ratios hold whatever the machine: under load and idle, the
wrapper beside plain ansible-playbook, and beside both a floor made by hand, which stops and promotes over connections
that are open and proves nothing but the control file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lpse_dr.content import content_root
from lpse_dr.errors import LpseDrError
from lpse_dr.lab import manage, power
from lpse_dr.lab.audit import audit, site_states
from lpse_dr.lab.bids import read_bids
from lpse_dr.lab.crossing import Crossing
from lpse_dr.lab.load import LoadSession
from lpse_dr.lab.model import Lab
from lpse_dr.lab.trial import Trial, command, measure

NAME = "bench"
SITES = ("pdc", "drc")
SQL = "psql -XAtqd postgres -c"
DATA = "/var/lib/postgresql/15/main"


def timed(argv: Sequence[str], accepted: tuple[int, ...] = (0,)) -> float:
    """Return the seconds that a command took. LpseDrError unless it ended as accepted."""
    started = time.monotonic()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg")}
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, cwd=content_root()
    )
    if done.returncode not in accepted:
        raise LpseDrError(f"{argv[0]} ended with {done.returncode}.", detail=(done.stdout + done.stderr)[-2000:])
    return time.monotonic() - started


def other(site: str) -> str:
    """Return the site that is not this one."""
    return SITES[1 - SITES.index(site)]


def fresh(say: Callable[[str], None]) -> Lab:
    """Return a new lab: what is measured in it does not depend on the documents that others have left."""
    manage.down(NAME, say)
    return manage.up(NAME, say)


def active(lab: Lab) -> str:
    """Return the one writable site. LpseDrError where there is not exactly one."""
    found = [site for site, state in site_states(lab).items() if state == "writable"]
    if len(found) != 1:
        raise LpseDrError(f"Exactly one site must be writable; found {found}.")
    return found[0]


def median(values: Sequence[float]) -> float:
    """Return the median, rounded to milliseconds."""
    return round(statistics.median(values), 3)


def under_load(lab: Lab, rounds: int, clients: int, say: Callable[[str], None]) -> list[Trial]:
    """Return one trial a round, the direction alternating; one that is not clean counts as such and is quoted too."""
    trials = []
    for number in range(rounds):
        source = active(lab)
        trial = measure(lab, source, other(source), clients=clients, around_seconds=10)
        say(f"  {number + 1}/{rounds} {source} -> {other(source)}: {json.dumps(trial.figures())}")
        if trial.envelope.get("verdict") != "COMPLETED":
            raise LpseDrError("A switch-over did not complete.", detail=str(trial.envelope)[:1500])
        if not trial.ok:
            say(f"    not clean: {trial.load.failed} failed; {'; '.join(trial.audit.problems)}")
        trials.append(trial)
    return trials


def beside_playbook(lab: Lab, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of switch-overs by plain ansible-playbook and by the command, taking turns, idle."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    playbook = str(content_root() / "playbooks" / "switchover.yml")
    plain, wrapped = [], []
    for _ in range(rounds):
        source = active(lab)
        variables = ["-e", f"from_site={source}", "-e", f"to_site={other(source)}"]
        plain.append(timed([program, "-i", str(lab.inventory), playbook, *variables]))
        time.sleep(6)
        source = active(lab)
        words = ["switchover", "--from", source, "--to", other(source), "--yes", "--reason", "bench"]
        wrapped.append(timed(command(lab, *words)))
        time.sleep(6)
    return plain, wrapped


def floor(lab: Lab) -> float | None:
    """Return the database outage of a hand-made switch: checkpoint, fast stop, compare control data, promote.

    Afterwards the lab is thrown away: the floor proves nothing about documents, clients, names or the way back.
    """
    source = active(lab)
    target = other(source)
    shells = {
        site: subprocess.Popen(
            lab.ssh(f"{site}-db", "sudo -u postgres sh"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for site in SITES
    }

    def on(site: str, script: str) -> str:
        shell = shells[site]
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write(script + "; echo END\n")
        lines = []
        for line in iter(shell.stdout.readline, "END\n"):
            if not line:
                raise LpseDrError("The connection of the floor ended.")
            lines.append(line.strip())
        return "\n".join(lines)

    for site in SITES:
        # What is promoted by hand, past everything, is what the guards are there to stop.
        timed(lab.ssh(f"{site}-db", "sudo systemctl stop lpse-dr-fence"))
    try:
        with LoadSession(lab, seconds=60, clients=1) as load:
            on(
                target,
                f"{SQL} \"ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'\"; {SQL} 'SELECT pg_reload_conf()'",
            )
            on(source, f"{SQL} CHECKPOINT; {SQL} CHECKPOINT")
            binaries = "/usr/lib/postgresql/15/bin"
            on(source, f"{binaries}/pg_ctl stop -s -m fast -D {DATA}")
            last = on(source, f"{binaries}/pg_controldata {DATA} | sed -n 's/^Latest checkpoint location: *//p'")
            seen = on(target, f"{SQL} \"SELECT pg_last_wal_replay_lsn() > '{last}'\"")
            if seen.splitlines()[-1] != "t":
                raise LpseDrError(
                    "The floor's target had not replayed the source's last record.", detail=f"{last}: {seen}"
                )
            on(target, f"{binaries}/pg_ctl promote -s -D {DATA}")
            time.sleep(1)
            load.stop()
            result = load.collect()
        judged = audit(lab, result.folder)  # its requests fail from the stop on; only the probes are wanted
        if judged.outage_from != source or judged.outage_to != target:
            raise LpseDrError("The floor was not seen by the probes.", detail="; ".join(judged.problems))
        return judged.database_outage_seconds
    finally:
        for shell in shells.values():
            shell.kill()
            shell.communicate()


def failover(say: Callable[[str], None]) -> float:
    """Return the seconds from a failover's command to the first bid that the other site accepts; the primary was killed."""
    lab = fresh(say)
    with LoadSession(lab, seconds=120, clients=4, patience_seconds=2) as load:
        time.sleep(5)
        power.power_off(lab, "pdc-db", "pdc-app", "pdc-gateway")
        began = time.monotonic()
        timed(command(lab, "failover", "--to", "drc", "--yes", "--assume-primary-dead", "bench", "--reason", "bench"))
        time.sleep(1)
        load.stop()
        result = load.collect()
    bids = [bid for bid in read_bids(result.folder / "load.jsonl") if bid.error is None and bid.site == "drc"]
    if not bids:
        raise LpseDrError("After the failover no bid was accepted.")
    return min(bid.end for bid in bids) - began


def halt(lab: Lab) -> float:
    """Return the seconds of a halt of replication, proof included."""
    seconds = timed(command(lab, "replication", "halt", "--yes", "--reason", "bench"))
    words = ["--at", "drc", "--ordered-by", "bench", "--yes", "--reason", "bench"]
    timed(command(lab, "replication", "resume", *words))
    return seconds


def readings(lab: Lab, rounds: int) -> dict[str, float]:
    """Return what an operator waits for at the prompt: help, status, status with one site dead."""
    python = [timed([sys.executable, "-c", "pass"]) for _ in range(rounds)]
    program = [sys.executable, "-m", "lpse_dr"]
    helped = [timed([*program, "--help"]) for _ in range(rounds)]
    status = [timed(command(lab, "status")) for _ in range(rounds)]
    gone = [host.name for host in lab.hosts.values() if host.site == other(active(lab))]
    power.power_off(lab, *gone)
    # 6: some hosts could not be read, which is what is wanted here.
    dead = [timed(command(lab, "status"), accepted=(0, 6)) for _ in range(rounds)]
    power.power_on(lab, *gone)
    return {
        "help_above_python_seconds": round(median(helped) - median(python), 3),
        "status_seconds": median(status),
        "status_one_site_dead_seconds": median(dead),
    }


def isolation(lab: Lab, rounds: int) -> dict[str, float]:
    """Return what passes until segments are apart, by the clock of hosts that ask across all the time, and until it is confirmed."""
    cut, confirmed, released = [], [], []
    for _ in range(rounds):
        with Crossing(lab, seconds=25) as crossing:
            began = time.time()
            confirmed.append(timed(command(lab, "vlan", "isolate", "total", "--yes", "--reason", "bench")))
            last = crossing.last_answers()
        if min(last.values()) < began:
            raise LpseDrError("A path was closed before the isolation began.", detail=str(last))
        cut.append(max(last.values()) - began)
        released.append(timed(command(lab, "vlan", "release", "--yes", "--reason", "bench")))
    return {
        "isolation_last_packet_seconds": round(median(cut), 2),
        "isolation_last_packet_seconds_worst": round(max(cut), 2),
        "isolation_confirmed_seconds": round(median(confirmed), 2),
        "isolation_confirmed_seconds_worst": round(max(confirmed), 2),
        "isolation_release_seconds": round(median(released), 2),
    }


# As an inspection sets its own; the scanner reads what root alone may read by descriptors that it is handed.
BARE = """
conf=/run/bench-clamd.conf; socket=/run/bench-clamd.sock
printf '%s\\n' "LocalSocket $socket" 'DatabaseDirectory /var/lib/clamav' 'User root' "MaxThreads $(nproc)" 'MaxFileSize 2000M' 'MaxScanSize 2000M' >$conf
clamd --config-file=$conf
began=$(date +%s.%N)
clamdscan --config-file=$conf --multiscan --fdpass --no-summary /var/lib/lpse-dr/backup/staging >/dev/null
ended=$(date +%s.%N)
kill "$(pgrep -x clamd)"
python3 -c "print($ended - $began)"
"""


def scanning(lab: Lab, rounds: int) -> dict[str, float]:
    """Return how quickly a set is looked into, beside the scanner alone over the same documents."""
    with LoadSession(lab, seconds=20, clients=8) as session:
        session.collect()
    timed(command(lab, "backup", "take", "--yes", "--reason", "bench"))
    vault = lab.in_group("vault")[0].container
    ours, bare, size = [], [], 0
    for _ in range(rounds):
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # What was found is kept; the bench wants it to be looked for again.
        subprocess.run(["docker", "exec", vault, "rm", "-rf", "/var/lib/lpse-dr/backup/verdicts"], check=True)
        words = ("backup", "find-clean", "--infected-since", since, "--margin", "0s", "--output", "json")
        done = subprocess.run(command(lab, *words), capture_output=True, text=True, check=True)
        (found,) = json.loads(done.stdout.strip().splitlines()[-1])["figures"]["sets"]
        ours.append(found["figures"]["scan_seconds"])
        size = found["figures"]["scanned_bytes"]
        alone = subprocess.run(
            ["docker", "exec", vault, "sh", "-c", BARE], capture_output=True, text=True, check=True
        )
        bare.append(float(alone.stdout.strip().splitlines()[-1]))
    return {
        "scan_megabytes": round(size / 1e6, 1),
        "scan_megabytes_per_second": round(size / 1e6 / median(ours), 1),
        "scan_over_bare_clamdscan": round(median(bare) / median(ours), 2),
    }


Say = Callable[[str], None]
Figures = dict[str, float | int | str | None]


def measure_switchover(rounds: int, say: Say) -> Figures:
    """Return what vendors and the operator wait for in a planned switch-over, idle and under load."""
    figures: Figures = {}
    for label, clients in (("idle", 1), ("load", 8)):
        lab = fresh(say)
        say(f"{rounds} switch-overs, {clients} clients")
        trials = under_load(lab, rounds, clients, say)
        figures[f"database_outage_seconds_{label}"] = median(
            [trial.audit.database_outage_seconds or 0.0 for trial in trials]
        )
        figures[f"longest_wait_seconds_{label}"] = max(trial.load.longest_wait_seconds for trial in trials)
        figures[f"longest_gap_seconds_{label}"] = max(trial.load.longest_gap_seconds for trial in trials)
        figures[f"switchover_seconds_{label}"] = median([trial.switchover_seconds for trial in trials])
        figures[f"rounds_not_clean_{label}"] = sum(not trial.ok for trial in trials)
        figures[f"requests_{label}"] = sum(trial.load.requests for trial in trials)
        figures[f"failed_{label}"] = sum(trial.load.failed for trial in trials)
        figures[f"lost_{label}"] = sum(len(trial.audit.lost) for trial in trials)
        figures[f"both_writable_milliseconds_{label}"] = max(
            trial.audit.both_writable_milliseconds or 0.0 for trial in trials
        )
    return figures


def measure_floor(rounds: int, say: Say) -> Figures:
    """Return the database outage of a hand-made switch, each on a fresh lab."""
    return {"floor_database_outage_seconds": median([floor(fresh(say)) or 0.0 for _ in range(min(rounds, 3))])}


def measure_prompt(rounds: int, say: Say) -> Figures:
    """Return what an operator waits for at the prompt, and what the command costs over plain ansible-playbook."""
    lab = fresh(say)
    plain, wrapped = beside_playbook(lab, rounds)
    return {
        "ansible_playbook_seconds": median(plain),
        "command_seconds": median(wrapped),
        "command_over_ansible_playbook": round(median(wrapped) / median(plain), 3),
        **readings(lab, rounds),
    }


def measure_emergency(rounds: int, say: Say) -> Figures:
    """Return what is waited for when a virus spreads or a site is lost."""
    lab, times = fresh(say), min(rounds, 3)
    return {
        **isolation(lab, times),
        **scanning(lab, times),
        "halt_command_seconds": median([halt(lab) for _ in range(times)]),
        "failover_command_to_first_bid_seconds": median([failover(say) for _ in range(times)]),
    }


PARTS = {
    "switchover": measure_switchover,
    "floor": measure_floor,
    "prompt": measure_prompt,
    "emergency": measure_emergency,
}


def main() -> int:
    """Measure and print. Exit 1 where a round was not clean."""
    parser = argparse.ArgumentParser(prog="script/bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="switch-overs a figure (default 7)")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:7.1f} s] {text}", file=sys.stderr, flush=True)

    figures: Figures = {
        "machine": f"{os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2**30} GiB, {platform.machine()}",
        "rounds": options.rounds,
    }
    try:
        for name in options.parts or PARTS:
            say(f"--- {name}")
            figures.update(PARTS[name](options.rounds, say))
        return 1 if figures.get("rounds_not_clean_idle") or figures.get("rounds_not_clean_load") else 0
    except LpseDrError as error:
        print(f"\nscript/bench: {error.message}\n{error.detail}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        # Also what was measured before something failed took its time.
        for key, value in figures.items():
            print(f"  {key:<38}{value}", file=sys.stderr if options.output == "json" else sys.stdout)
        if options.output == "json":
            print(json.dumps(figures))
        manage.down(NAME, say)


if __name__ == "__main__":
    sys.exit(main())
