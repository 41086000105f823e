"""The lab is what it claims: isolated segments, routed through gateways, gone without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lpse_dr.lab import check, docker, firewall, manage, power
from lpse_dr.lab.model import LABEL, Lab

pytestmark = [pytest.mark.lab]


def on(lab: Lab, host: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as root on a host, over SSH like everybody."""
    return subprocess.run(
        lab.ssh(host, f"sudo sh -c '{command}'"), capture_output=True, text=True, check=False, timeout=30
    )


def reaches(lab: Lab, source: str, address: str | None, port: int) -> bool:
    """Tell whether `source` can open a TCP connection."""
    assert address
    return on(lab, source, f"nc -z -w 2 {address} {port}").returncode == 0


def test_every_host_answers_as_lpse_dr_and_root_does_not(lab: Lab) -> None:
    for host in lab.hosts:
        answer = on(lab, host, "hostname; id -un")
        assert answer.stdout.split() == [host, "root"], answer.stderr
    as_root = [word.replace("lpse-dr@", "root@") for word in lab.ssh("ns", "true")]
    assert subprocess.run(as_root, capture_output=True, check=False).returncode == 255


def test_default_route_is_the_gateway_of_the_site_or_none(lab: Lab) -> None:
    for host in lab.hosts.values():
        answer = on(lab, host.name, "ip -4 route show default").stdout.split()
        if host.via is None:
            assert answer == [], host.name
        else:
            gateway = lab.in_group("gateway", host.site)[0]
            assert answer[:3] == ["default", "via", gateway.addresses[host.via]], host.name
    bridges = {network.bridge_address for network in lab.networks.values()}
    for name in lab.hosts:
        assert not bridges & set(on(lab, name, "ip -4 route").stdout.split()), name


def test_management_network_isolates_all_but_the_jump_hosts(lab: Lab) -> None:
    for source in ("pdc-office", "vendor", "pdc-db"):
        assert not reaches(lab, source, lab.hosts["drc-db"].management, 22), source
    assert not reaches(lab, "ns", lab.hosts["pdc-jump"].management, 22)
    everybody = " ".join(host.management for host in lab.hosts.values())
    for jump in ("pdc-jump", "drc-jump"):
        probe = f"for a in {everybody}; do nc -z -w 2 $a 22 || echo $a; done"
        assert on(lab, jump, probe).stdout == "", jump


@pytest.mark.parametrize(
    ("source", "target", "kind", "port", "passes"),
    [
        ("pdc-db", "drc-db", "data", 5432, True),
        ("drc-db", "pdc-db", "data", 5432, True),
        ("pdc-app", "drc-app", "dmz", 22, True),
        ("drc-app", "pdc-app", "dmz", 22, True),
        ("pdc-app", "pdc-db", "data", 5432, True),
        ("drc-app", "drc-db", "data", 5432, True),
        ("pdc-app", "drc-db", "data", 5432, False),
        ("drc-app", "pdc-db", "data", 5432, False),
        ("pdc-gateway", "drc-app", "dmz", 9009, True),
        ("drc-gateway", "pdc-app", "dmz", 9009, True),
        ("pdc-office", "pdc-gateway", "office", 443, True),
        ("pdc-office", "pdc-gateway", "public", 443, True),
        ("pdc-office", "pdc-db", "data", 5432, False),
        ("pdc-office", "drc-db", "data", 5432, False),
        ("pdc-office", "pdc-app", "dmz", 9009, False),
        ("vendor", "pdc-gateway", "public", 443, True),
        ("vendor", "drc-gateway", "public", 443, True),
        ("vendor", "pdc-app", "dmz", 9009, False),
        ("vendor", "pdc-gateway", "public", 22, False),
        ("drc-vault", "pdc-db", "data", 5432, True),
        ("drc-vault", "pdc-app", "dmz", 22, True),
    ],
)
def test_segments_let_pass_what_they_must(
    lab: Lab, source: str, target: str, kind: str, port: int, passes: bool
) -> None:
    assert reaches(lab, source, lab.hosts[target].address(kind), port) is passes


def test_office_reaches_the_other_sites_database_only_through_both_gateways(lab: Lab) -> None:
    """With a rule on both gateways it passes, counted on both; without the rule on either it does not."""
    office, database = lab.hosts["pdc-office"].address("office"), lab.hosts["drc-db"].address("data")
    gateways = ("pdc-gateway", "drc-gateway")
    rule = f"ip saddr {office} ip daddr {database} tcp dport 5432 counter accept"

    def allow(gateway: str) -> None:
        assert on(lab, gateway, f"nft insert rule inet lpse_lab forward {rule}").returncode == 0

    def block(gateway: str) -> None:
        assert on(lab, gateway, "nft -f /etc/nftables.conf").returncode == 0

    try:
        assert not reaches(lab, "pdc-office", database, 5432)
        for gateway in gateways:
            allow(gateway)
        assert reaches(lab, "pdc-office", database, 5432)
        for gateway in gateways:
            counted = on(lab, gateway, "nft list chain inet lpse_lab forward").stdout
            line = next(line for line in counted.splitlines() if "counter" in line)
            assert "packets 0" not in line, gateway
        for gateway in gateways:
            block(gateway)
            assert not reaches(lab, "pdc-office", database, 5432), f"{gateway} blocks"
            allow(gateway)
    finally:
        for gateway in gateways:
            block(gateway)


def test_replication_is_encrypted_checked_and_by_slot(lab: Lab) -> None:
    sql = "select s.ssl, r.state, (select active from pg_replication_slots where slot_name = $$lpse_dr_drc$$), "
    sql += "current_setting($$data_checksums$$), current_setting($$cluster_name$$) "
    sql += "from pg_stat_replication r join pg_stat_ssl s using (pid)"
    answer = docker.run("exec", lab.hosts["pdc-db"].container, "runuser", "-upostgres", "--", "psql", "-XAtqc", sql)
    assert answer.strip() == "t|streaming|t|on|pdc"


def test_the_file_stream_can_read_and_nothing_else(lab: Lab) -> None:
    source = lab.hosts["pdc-app"].address("dmz")
    remote = "ssh -i /etc/lpse-dr/files_key -o UserKnownHostsFile=/etc/lpse-dr/files_known_hosts -o BatchMode=yes"
    on(lab, "pdc-app", "install -o appserv -g appserv -m 0640 /etc/hostname /home/file/file_prod/of-test.bid")
    pulled = on(lab, "drc-app", f'rsync -a -e "{remote}" lpse-dr-files@{source}:of-test.bid /tmp/of-test.bid')
    assert pulled.returncode == 0, pulled.stderr
    pushed = on(lab, "drc-app", f'rsync -a -e "{remote}" /etc/hostname lpse-dr-files@{source}:of-test2.bid')
    assert pushed.returncode != 0
    assert on(lab, "drc-app", f"{remote} lpse-dr-files@{source} id").returncode != 0
    on(lab, "pdc-app", "rm /home/file/file_prod/of-test.bid")


def test_names_move_with_the_key_only(lab: Lab) -> None:
    server = lab.hosts["ns"].address("public")
    update = "server {s}\nzone lomboktengah.test.\nupdate add {n}.lomboktengah.test. 5 TXT x\nsend\n"

    def send(name: str, key: str) -> int:
        text = update.format(s=server, n=name).replace("\n", "\\n")
        return on(lab, "drc-gateway", f'printf "{text}" | nsupdate {key}').returncode

    assert send("spse", "") != 0
    assert send("other", "-k /etc/lpse-dr/tsig.key") != 0
    assert send("spse", "-k /etc/lpse-dr/tsig.key") == 0
    undo = update.format(s=server, n="spse").replace("update add", "update delete").replace(" 5 TXT x", " TXT")
    escaped = undo.replace("\n", "\\n")
    assert on(lab, "drc-gateway", f'printf "{escaped}" | nsupdate -k /etc/lpse-dr/tsig.key').returncode == 0


def test_a_host_that_lost_power_comes_back_isolated_and_in_service(lab: Lab) -> None:
    power.power_off(lab, "drc-db", "pdc-office")
    assert manage.status(lab.name).state == "partial"
    power.power_on(lab, "drc-db", "pdc-office")
    assert manage.status(lab.name).state == "up"
    gateway = lab.hosts["pdc-gateway"].address("office")
    assert on(lab, "pdc-office", "ip -4 route show default").stdout.split()[:3] == ["default", "via", gateway]
    check.service(lab)


def test_cutting_the_link_between_sites_ends_what_was_open(lab: Lab) -> None:
    database = lab.hosts["drc-db"].address("data")
    assert reaches(lab, "pdc-db", database, 5432)
    try:
        power.cut_segment(lab, "wan")
        assert not reaches(lab, "pdc-db", database, 5432)
    finally:
        power.mend_all(lab)
    assert reaches(lab, "pdc-db", database, 5432)
    check.service(lab)


def remains(name: str) -> list[str]:
    """Return whatever of a lab can still be found on this machine."""
    found = [f"{kind} {item}" for kind in ("ps", "network", "volume") for item in docker.listed(kind, LABEL, name)]
    rules = subprocess.run(["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, check=False).stdout
    found += [line for line in rules.splitlines() if f"lpse-dr-lab:{name}:" in line]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout
    found += [line for line in links.splitlines() if firewall.management_bridge(name) in line]
    if (manage.state_folder() / "lab" / name).exists():
        found.append("state folder")
    return found


@pytest.fixture
def second() -> Iterator[str]:
    """A name of another lab; nothing of it stays."""
    yield "e2esecond"
    manage.down("e2esecond", lambda line: None)


@pytest.mark.parametrize(
    "seconds", [2.5, *(pytest.param(moment, marks=pytest.mark.full) for moment in (0.4, 1.2, 5.0, 8.0))]
)
def test_interrupted_up_leaves_nothing_and_the_neighbour_alone(lab: Lab, second: str, seconds: float) -> None:
    before = docker.run("ps", "--filter", f"label={LABEL}={lab.name}", "--format", "{{.ID}}")
    # Who started these tests in the background may ignore SIGINT, and would hand that down.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "lpse_dr.lab.manage", "up", second]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    os.killpg(child.pid, signal.SIGINT)
    child.wait(60)
    assert remains(second) == []
    assert docker.run("ps", "--filter", f"label={LABEL}={lab.name}", "--format", "{{.ID}}") == before


@pytest.mark.parametrize("seconds", [3.0, pytest.param(1.0, marks=pytest.mark.full)])
def test_down_after_a_killed_up_leaves_nothing(lab: Lab, second: str, seconds: float) -> None:
    command = [sys.executable, "-m", "lpse_dr.lab.manage", "up", second]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)
    manage.down(second, lambda line: None)
    assert remains(second) == []


def test_two_labs_side_by_side(lab: Lab, second: str) -> None:
    other = manage.up(second, lambda line: None)
    assert not {n.subnet for n in other.networks.values()} & {n.subnet for n in lab.networks.values()}
    assert not reaches(other, "vendor", lab.hosts["pdc-gateway"].address("public"), 443)
    assert not reaches(other, "pdc-jump", lab.hosts["pdc-db"].management, 22)
    wrong = [word.replace(str(other.office), str(lab.office)) for word in other.ssh("ns", "true")]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode == 255
    assert manage.up(second, lambda line: None) == other
    manage.down(second, lambda line: None)
    assert remains(second) == []
    check.service(lab)
