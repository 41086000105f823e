"""What a gateway says of itself is read strictly; a probe knows a refusal from silence."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import (
    vlan_conntrack,
    vlan_host,
    vlan_kept,
    vlan_nftables,
    vlan_probe,
    vlan_undo,
)
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.vlan import load, probe

OWN = """\
table inet lpse_dr_isolation {
	comment "lpse-dr office 0123456789abcdef"
	chain forward {
		type filter hook forward priority -450; policy accept;
		ip saddr 10.0.2.0/24 counter packets 3 bytes 180 drop comment "segment pdc-office"
		ip daddr 10.0.2.0/24 counter packets 4 bytes 240 drop comment "segment pdc-office"
	}
}
"""
OTHERS = """\
table inet lpse_dr {
	chain input {
		type filter hook input priority filter; policy drop;
		tcp dport 22 counter packets 9 bytes 900 accept
	}
}
table ip nat {
	set banned { type ipv4_addr; elements = { 192.0.2.1 timeout 1h expires 59m } }
}
"""


@pytest.mark.parametrize("text", [OWN + OTHERS, OTHERS + OWN, OTHERS.replace("table ip nat", OWN + "table ip nat")])
def test_our_table_is_parted_from_the_others(text: str) -> None:
    own, rest = vlan_nftables.split(text)
    assert (own, rest) == (OWN, OTHERS)


def test_our_table_tells_whose_it_is_and_what_it_has_dropped() -> None:
    found = vlan_nftables.describe(OWN)
    assert found
    assert (found["own"], found["level"], found["id"], found["segments"]) == (True, "office", "0123456789abcdef", ["pdc-office"])  # fmt: skip
    assert found["dropped"] == {"segment pdc-office": 7}
    assert vlan_nftables.describe(None) is None


@pytest.mark.parametrize("comment", ["", '\tcomment "lpse-dr office"\n', '\tcomment "isolation"\n', '\tcomment "x lpse-dr office 0123456789abcdef"\n'])  # fmt: skip
def test_a_table_of_our_name_without_our_mark_is_a_strangers(comment: str) -> None:
    text = OWN.replace('\tcomment "lpse-dr office 0123456789abcdef"\n', comment)
    found = vlan_nftables.describe(text)
    assert found and found["own"] is False and found["id"] is None


def test_counters_and_time_left_are_no_change_of_rules() -> None:
    later = OTHERS.replace("packets 9 bytes 900", "packets 10 bytes 960").replace("expires 59m", "expires 58m")
    assert vlan_nftables.stateless(later) == vlan_nftables.stateless(OTHERS)
    assert vlan_nftables.stateless(OTHERS.replace("dport 22", "dport 23")) != vlan_nftables.stateless(OTHERS)


def test_only_others_hooks_of_ours_count() -> None:
    def chain(table: str, hook: str | None) -> dict[str, Any]:
        return {
            "chain": {"family": "inet", "table": table, "name": "c", **({"hook": hook, "prio": -7} if hook else {})}
        }

    found = vlan_nftables.hooks([{"metainfo": {}}, chain("t", "input"), chain("t", "prerouting"), chain("t", None), chain(vlan_nftables.NAME, "input")])  # fmt: skip
    assert found == [{"table": "t", "hook": "input", "priority": -7}]


class Programs:
    """nft and the tools of systemd as shell scripts: what they are asked is kept, what they say is given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(vlan_nftables, "program", lambda: str(folder / "nft"))
        monkeypatch.setattr(vlan_kept, "FILE", str(folder / "vlan.nft"))
        self.say("nft", "")
        self.say("systemctl", "")

    def say(self, name: str, text: str, code: int = 0) -> None:
        (self.folder / f"{name}.says").write_text(text)
        program = self.folder / name
        listing = """[ "$1" = -j ] && echo '{"nftables": []}' && exit"""
        program.write_text(f'#!/bin/sh\necho "{name} $@" >>{self.folder}/asked\n{listing}\ncat {self.folder}/{name}.says\nexit {code}\n')  # fmt: skip
        program.chmod(0o755)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return Programs(tmp_path, monkeypatch)


def test_the_undo_brings_back_what_the_file_says_and_else_nothing(programs: Programs) -> None:
    vlan_undo.now(5)
    assert programs.asked() == ["nft list table inet lpse_dr_isolation", "nft delete table inet lpse_dr_isolation"]
    programs.say("nft", "", 1)
    vlan_undo.now(5)
    assert len(programs.asked()) == 3, "where there is no table there is nothing to delete"
    programs.say("nft", "")
    Path(vlan_kept.FILE).write_text("table")
    vlan_undo.now(5)
    assert programs.asked()[3:] == [f"nft -f {vlan_kept.FILE}"]


def test_an_undo_that_does_not_end_is_not_dead(programs: Programs) -> None:
    programs.say("systemctl", "lpse-dr-vlan-undo-7-1.timer loaded active waiting x\n")
    assert vlan_undo.read(1) == {"undo_armed": True}
    with pytest.raises(VerbError) as caught:
        vlan_undo.disarm(0.2)
    assert caught.value.id == "vlan.undo_alive"


def test_nothing_is_loaded_without_an_undo(programs: Programs) -> None:
    programs.say("nft", "")
    with pytest.raises(VerbError) as caught:
        load(Context("gw", "pdc", {}), {"rules": "x", "id": "y", "networks": [], "spared": []})
    assert caught.value.id == "vlan.undo_not_armed"
    assert not any(line.startswith("nft -f") for line in programs.asked())


def test_a_strangers_table_is_left_alone(programs: Programs) -> None:
    programs.say("nft", "table inet lpse_dr_isolation {\n}\n")
    with pytest.raises(VerbError) as caught:
        load(Context("gw", "pdc", {}), {"rules": "x", "id": "y", "networks": [], "spared": []})
    assert caught.value.id == "vlan.foreign_table"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that says nothing: its queue is full, so that nobody answers the next one who knocks."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        socket.socket() as first,
        socket.socket() as second,
    ):
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def target(to: str, address: str, port: int, want: str | None = None) -> dict[str, Any]:
    return {"from": "a", "to": to, "address": address, "port": port, "want": want}


def test_a_refusal_comes_through_and_silence_does_not(silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [listening.getsockname()[1], closed.getsockname()[1], silent]
        # Nobody has a route to addresses for documentation (RFC 3849).
        targets = [*(target("b", "127.0.0.1", port) for port in ports), target("c", "2001:db8::1", 9)]
        found = probe(Context("h", "pdc", {"vlan_targets": targets}), {"seconds": 0.3})["paths"]
    assert [path["tcp"] for path in found] == ["open", "open", "closed", "closed"]
    if os.geteuid() == 0:
        assert [path["icmp"] for path in found] == ["open", "open", "open", "closed"]


def test_a_path_that_should_be_open_is_tried_again() -> None:
    context = Context("h", "pdc", {"vlan_targets": [target("b", "2001:db8::1", 9, "open")]})
    began = context.remaining()
    probe(context, {"seconds": 0.1, "patience_seconds": 0.35})
    assert 0.3 < began - context.remaining() < 1.5


def test_the_checksum_is_that_of_rfc_1071() -> None:
    assert vlan_probe.checksum(b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7") == 0x220D
    assert vlan_probe.checksum(b"\x01") == 0xFEFF


def attribute(kind: int, content: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(content), kind) + content
    return data.ljust((len(data) + 3) & ~3, b"\0")


def test_a_remembered_connection_is_named_as_it_came() -> None:
    ends = attribute(1, bytes([10, 0, 0, 1])) + attribute(2, bytes([10, 0, 0, 2]))
    original = attribute(0x8001, attribute(0x8001, ends) + attribute(0x8002, attribute(1, b"\x06")))
    body = original + attribute(0x8002, b"\0" * 8)
    assert vlan_conntrack.read_entry(body) == (("10.0.0.1", "10.0.0.2"), original)
    assert vlan_conntrack.read_entry(attribute(3, b"\0\0\0\0")) is None
    # A message that is cut short ends the reading; it is not read past its end.
    assert list(vlan_conntrack.messages(struct.pack("=IHHII", 4, 1, 0, 0, 0))) == []
    assert vlan_conntrack.read_entry(body[:9]) is None


@pytest.mark.parametrize(
    ("ends", "networks", "spared", "forgotten"),
    [
        (("10.0.2.9", "10.0.1.1"), ["10.0.2.0/24"], ["10.0.99.0/24"], True), (("10.0.1.1", "10.0.2.9"), ["10.0.2.0/24"], [], True),
        (("10.0.1.1", "10.0.3.9"), ["10.0.2.0/24"], [], False), (("10.0.99.1", "10.0.2.9"), ["10.0.2.0/24"], ["10.0.99.0/24"], False),
        (("10.0.1.1", "10.0.3.9"), [], [], True), (("127.0.0.1", "127.0.0.1"), [], [], False), (("fd00::1", "10.0.2.9"), ["10.0.2.0/24"], [], True),
    ],
)  # fmt: skip
def test_whose_connections_end(
    ends: tuple[str, str], networks: list[str], spared: list[str], forgotten: bool
) -> None:
    inside, outside = ([ipaddress.ip_network(one) for one in some] for some in (networks, spared))
    assert vlan_conntrack.concerned(ends, inside, outside) is forgotten


def test_without_ssh_nobody_can_be_cut_off() -> None:
    assert vlan_host.client() in ("local", None) or os.environ.get("SSH_CONNECTION")
