"""What HAProxy and the name server print is read strictly: what is not understood is no answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lpse_dr.plugins.module_utils.lpse_dr_host import base, traffic, traffic_dns
from lpse_dr.plugins.module_utils.lpse_dr_host.base import Context, VerbError
from lpse_dr.plugins.module_utils.lpse_dr_host.traffic_dns import parse_answer
from lpse_dr.plugins.module_utils.lpse_dr_host.traffic_haproxy import parse_age, parse_map, parse_sessions

SESSIONS = """\
0x1: proto=tcpv4 src=10.0.0.7:4711 fe=https be=pdc srv=app ts=00 epoch=0 age=1m5s calls=2 rate=0
0x2: proto=tcpv4 src=10.0.0.8:4712 fe=https be=https srv=<none> ts=00 epoch=0 age=2s calls=9
0x3: proto=tcpv6 src=2001:db8::1:4713 fe=https be=drc srv=app ts=00 epoch=0 age=0s calls=2
0x4: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=1
"""


def test_only_requests_with_a_server_are_in_flight() -> None:
    assert parse_sessions(SESSIONS) == [
        {"client": "10.0.0.7", "age_seconds": 65, "server": "pdc"},
        {"client": "2001:db8::1", "age_seconds": 0, "server": "drc"},
    ]


@pytest.mark.parametrize(("text", "age"), [("0s", 0), ("1d2h", 93600), ("", None), ("?", None), ("5", None)])
def test_an_age_is_seconds_or_unknown(text: str, age: int | None) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "state open\n", "state closed\ntarget pdc\n", "target pdc\n"])
def test_half_a_choice_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_map(text)


def said(status: str, flags: str, count: int, *records: str) -> str:
    """Return what dig prints of an answer."""
    head = f";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: {status}, id: 4711\n"
    head += f";; flags: {flags}; QUERY: 1, ANSWER: {count}, AUTHORITY: 0, ADDITIONAL: 1\n\n"
    return head + ";; ANSWER SECTION:\n" + "".join(f"spse.example.test.\t5\tIN\t{record}\n" for record in records)


def test_an_authoritative_answer_is_read() -> None:
    assert parse_answer(said("NOERROR", "qr aa", 1, "A\t10.0.0.1")) == [("10.0.0.1", 5)]
    assert parse_answer(said("NOERROR", "qr aa", 2, "CNAME\tdrc.example.test.", "A\t10.0.0.2")) == [("10.0.0.2", 5)]
    assert parse_answer(said("NXDOMAIN", "qr aa", 0)) == []
    assert parse_answer(said("NOERROR", "qr aa", 0)) == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        ";; communications error to 10.0.0.53#53: timed out\n",
        said("REFUSED", "qr", 0),
        said("SERVFAIL", "qr aa", 0),
        said("NOERROR", "qr rd ra", 1, "A\t10.0.0.1"),
        said("NOERROR", "qr aa tc", 1, "A\t10.0.0.1"),
        said("NOERROR", "qr aa", 1),
        said("NOERROR", "qr aa", 1, "A"),
    ],
)
def test_refused_failed_second_hand_or_cut_answers_are_none(answer: str) -> None:
    with pytest.raises(ValueError):
        parse_answer(answer)


class Names:
    """A pretended authority and nsupdate: what was sent, by which words, is kept in files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.answers: list[Any] = [[("10.0.0.1", 60)]]
        program = folder / "nsupdate"
        program.write_text(
            f'#!/bin/sh\ncat >{folder}/sent\necho "$@" >{folder}/words\ncat {folder}/says >&2\nexit $(cat {folder}/code)\n'
        )
        program.chmod(0o755)
        (folder / "says").write_text("")
        (folder / "code").write_text("0")
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(base, "STATE_FOLDER", str(folder))
        monkeypatch.setattr(traffic_dns, "query_address", self.query)
        self.config = {
            "traffic_dns_server": "10.0.0.53", "traffic_dns_zone": "example.test", "traffic_dns_name": "spse",
            "traffic_dns_key_name": "lpse-dr", "traffic_dns_key_secret": "c2VjcmV0", "traffic_dns_ttl": 5,
            "traffic_dns_addresses": {"pdc": "10.0.0.1", "drc": "10.0.0.2"},
        }  # fmt: skip

    def query(self, server: str, name: str, seconds: float) -> Any:
        """Answer the next prepared answer; the last one again and again."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        """Perform a verb."""
        return traffic.VERBS[verb](Context("gw", "pdc", self.config, None, 2.0), args)


@pytest.fixture
def dns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Return a name that leads to pdc."""
    return Names(tmp_path, monkeypatch)


def test_a_name_moves_once_by_a_guarded_update_whose_key_is_nowhere_to_be_seen(dns: Names) -> None:
    dns.answers = [[("10.0.0.1", 60)], [("10.0.0.2", 5)]]
    done = dns.call("update_dns", site="drc")
    assert (done["changed"], done["old_ttl"]) == (True, 60)
    sent = (dns.folder / "sent").read_text()
    assert "prereq yxrrset spse.example.test. IN A 10.0.0.1\n" in sent
    assert "update add spse.example.test. 5 IN A 10.0.0.2\n" in sent
    assert "key hmac-sha256:lpse-dr c2VjcmV0\n" in sent
    assert "c2VjcmV0" not in (dns.folder / "words").read_text()
    assert dns.call("update_dns", site="drc")["changed"] is False


@pytest.mark.parametrize(
    "says", ["update failed: REFUSED", "; TSIG error with server: tsig verify failure", "timed out"]
)
def test_a_refused_update_is_said_without_the_key(dns: Names, says: str) -> None:
    (dns.folder / "says").write_text(says)
    (dns.folder / "code").write_text("2")
    with pytest.raises(VerbError) as error:
        dns.call("update_dns", site="drc")
    assert error.value.id == "dns.update_refused"
    reading = dns.call("try_dns")["dns"]
    assert (reading["update_ok"], bool(reading["error"]), reading["site"]) == (False, True, "pdc")
    assert "c2VjcmV0" not in str(reading) + str(error.value.as_dict())


def test_trying_adds_what_is_there(dns: Names) -> None:
    assert dns.call("try_dns")["dns"]["update_ok"] is True
    sent = (dns.folder / "sent").read_text()
    assert "update add spse.example.test. 60 IN A 10.0.0.1\n" in sent
    assert "delete" not in sent


def test_a_name_that_does_not_move_is_a_failure(dns: Names) -> None:
    with pytest.raises(VerbError) as error:
        dns.call("update_dns", site="drc")
    assert error.value.id == "dns.not_moved"


def test_a_dead_authority_is_unknown_not_elsewhere(dns: Names) -> None:
    dns.answers = [VerbError("dns.no_answer", "10.0.0.53 to answer", "none within 2 s")]
    reading = dns.call("try_dns")["dns"]
    assert (reading["site"], reading["update_ok"], "none within" in reading["error"]) == (None, None, True)
    with pytest.raises(VerbError):
        dns.call("update_dns", site="drc")


def test_two_addresses_are_no_site(dns: Names) -> None:
    dns.answers = [[("10.0.0.1", 5), ("10.0.0.2", 5)]]
    assert dns.call("resolve")["dns"]["site"] is None


def test_configuration_cannot_smuggle_lines_into_an_update(dns: Names) -> None:
    dns.config["traffic_dns_addresses"] = {"drc": "10.0.0.2\nupdate delete example.test"}
    with pytest.raises(VerbError) as error:
        dns.call("update_dns", site="drc")
    assert error.value.id == "dns.configuration"


def test_the_status_of_a_gateway_shows_no_key(dns: Names) -> None:
    dns.config["traffic_provider"] = "manual"
    assert "c2VjcmV0" not in str(dns.call("status"))
