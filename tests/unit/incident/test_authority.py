"""Who may do what, by tables; orders by phone; nobody approves the own request; an emergency is never blocked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpse_dr.errors import UsageError
from lpse_dr.incident.authority import Claim
from lpse_dr.incident.ledger import Ledger
from lpse_dr.incident.model import ACTS
from lpse_dr.incident.people import PeopleError, load_people
from lpse_dr.incident.refusal import IncidentError

from .conftest import PEOPLE, report, until

BEFORE = {
    "declare": "report", "dismiss": "report", "order": "declare", "recovered": "steps",
    "return": "recovered", "analyse": "return", "close": "analyse",
}  # fmt: skip
KOORDINATOR = [name for name, act in ACTS.items() if act.role.value == "koordinator"]
TIM = [name for name, act in ACTS.items() if act.role.value == "tim"]


@pytest.mark.parametrize("act", KOORDINATOR)
@pytest.mark.parametrize(
    ("user", "reason", "role"),
    [
        ("kepala", "", "koordinator"),
        ("wakil", "tidak dapat dihubungi", "deputy"),
        ("wakil2", "keduanya tidak dapat dihubungi", "deputy"),
        ("wakil", "", None),
        ("wakil", "   ", None),
        ("ani", "sebab", None),
        ("mallory", "sebab", None),
        ("root", "", None),
    ],
)
def test_who_decides(ledger: Ledger, act: str, user: str, reason: str, role: str | None) -> None:
    record = until(ledger, BEFORE[act])
    if role is None:
        with pytest.raises(IncidentError) as caught:
            ledger.act(record, act, Claim(user, reason=reason), text="kata")
        assert caught.value.error_id in ("incident.authority", "incident.deputy")
        assert "--reason" in caught.value.hint or "--break-glass" in caught.value.hint
        assert ledger.again(record).incident.phase is record.incident.phase
        return
    done = ledger.act(record, act, Claim(user, reason=reason), text="kata").record.incident.last(act)
    assert done is not None
    assert (done.by["user"], done.by["role"], done.by["name"]) == (user, role, ledger.people.require(user).name)
    assert done.data.get("reason", "") == reason


@pytest.mark.parametrize("act", TIM)
@pytest.mark.parametrize(("user", "may"), [("ani", True), ("wakil", True), ("kepala", False), ("mallory", False)])
def test_the_team_executes(ledger: Ledger, act: str, user: str, may: bool) -> None:
    record = until(ledger, BEFORE[act])
    if may:
        assert ledger.act(record, act, Claim(user), text="kata").changed
    else:
        with pytest.raises(IncidentError):
            ledger.act(record, act, Claim(user), text="kata")


@pytest.mark.parametrize("act", [*KOORDINATOR, *TIM])
@pytest.mark.parametrize("user", ["ani", "mallory", "kepala"])
def test_glass_can_be_broken_and_is_never_forgotten(ledger: Ledger, act: str, user: str) -> None:
    record = until(ledger, BEFORE[act])
    right = ledger.people.by_login(user) and (user == "kepala") == (act in KOORDINATOR)
    if act == "close" and user == "ani":
        right = False
    outcome = ledger.act(record, act, Claim(user, break_glass="tidak ada yang menjawab"), text="kata")
    glass = outcome.record.incident.broken_glass
    if right:
        assert not glass, "what is not needed is not used"
        return
    assert [(item.act, item.reason, item.by["user"]) for item in glass] == [(act, "tidak ada yang menjawab", user)]
    assert glass[0].refused


def test_what_was_passed_by_force_is_answered_before_closing(ledger: Ledger) -> None:
    record = report(ledger, "gempa")
    record = ledger.act(record, "declare", Claim("budi", break_glass="semua di lapangan")).record
    record = ledger.act(record, "order", Claim("kepala")).record
    from lpse_dr.incident.steps import Told, done

    record = done(ledger, record, "people.evacuate", Told(name="Ani Tim"), Claim("ani"))
    record = ledger.act(record, "recovered", Claim("ani"), text="pulih").record
    record = ledger.act(record, "return", Claim("kepala")).record
    with pytest.raises(IncidentError) as caught:
        ledger.act(record, "analyse", Claim("ani"), text="sudah")
    assert caught.value.error_id == "incident.unanswered"
    assert "--answer 2=TEXT" in caught.value.hint
    with pytest.raises(UsageError):
        ledger.act(record, "analyse", Claim("ani"), text="sudah", data={"answers": {"7": "salah baris"}})
    record = ledger.act(
        record, "analyse", Claim("ani"), text="sudah", data={"answers": {"2": "Kepala di pesawat"}}
    ).record
    assert [item.answer for item in record.incident.broken_glass] == ["Kepala di pesawat"]
    assert ledger.act(record, "close", Claim("kepala")).changed


# --- nobody approves the own request ------------------------------------------------------------


def test_who_reports_does_not_declare(ledger: Ledger) -> None:
    record = report(ledger, reporter="Ibu  kepala, s.t.")
    record_again = ledger.act(record, "declare", Claim("wakil", reason="Kepala melapor sendiri"))
    assert record_again.changed
    other = report(ledger, "demo", reporter="Ibu Kepala, S.T.", name="dua")
    with pytest.raises(IncidentError) as caught:
        ledger.act(other, "declare", Claim("kepala"))
    assert caught.value.message == "Nobody approves the own request."


@pytest.mark.parametrize(("report_act", "approval"), [("recovered", "return"), ("analyse", "close")])
def test_a_deputy_who_reported_does_not_approve(ledger: Ledger, report_act: str, approval: str) -> None:
    record = until(ledger, BEFORE[report_act])
    record = ledger.act(record, report_act, Claim("wakil"), text="kata").record
    with pytest.raises(IncidentError) as caught:
        ledger.act(record, approval, Claim("wakil", reason="Kepala tidak ada"))
    assert caught.value.message == "Nobody approves the own request."
    # Nor by the detour of an order by phone that another types.
    with pytest.raises(IncidentError):
        ledger.act(record, approval, Claim("ani", ordered_by="wakil", via="telepon", reason="Kepala tidak ada"))
    assert ledger.act(record, approval, Claim("wakil2", reason="keduanya tidak ada")).changed


# --- orders by phone ----------------------------------------------------------------------------


@pytest.mark.parametrize("act", KOORDINATOR[:-1])
def test_an_order_by_phone_waits_for_confirmation(ledger: Ledger, act: str) -> None:
    record = until(ledger, BEFORE[act])
    order = Claim("ani", ordered_by="ibu kepala, s.t.", via="telepon")
    record = ledger.act(record, act, order, text="kata").record
    (waiting,) = record.incident.awaiting
    assert (waiting.act, waiting.ordered_by, waiting.via, waiting.by["user"]) == (
        act,
        "Ibu Kepala, S.T.",
        "telepon",
        "ani",
    )
    # Neither the one who typed it nor another member confirms it, and doing it again changes nothing.
    for user in ("ani", "budi", "wakil", "mallory"):
        assert not ledger.act(record, act, Claim(user)).changed
    outcome = ledger.act(record, act, Claim("kepala"))
    assert (outcome.changed, outcome.confirmed) == (True, True)
    assert not outcome.record.incident.awaiting
    assert not ledger.act(outcome.record, act, Claim("kepala")).changed


def test_closing_waits_for_confirmations_unless_glass_is_broken(ledger: Ledger) -> None:
    record = until(ledger, "recovered")
    record = ledger.act(record, "return", Claim("budi", ordered_by="kepala", via="radio")).record
    record = ledger.act(record, "analyse", Claim("ani"), text="sudah").record
    with pytest.raises(IncidentError) as caught:
        ledger.act(record, "close", Claim("wakil", reason="Kepala sakit"))
    assert (caught.value.error_id, caught.value.hint) == ("incident.unconfirmed", "lpse-dr incident return")
    forced = ledger.act(record, "close", Claim("wakil", reason="Kepala sakit", break_glass="Kepala koma"))
    assert [item.act for item in forced.record.incident.broken_glass] == ["close"]


@pytest.mark.parametrize(
    ("claim", "error"),
    [
        ({"user": "ani", "ordered_by": "Ibu Kepla, S.T.", "via": "telepon"}, "Did you mean 'Ibu Kepala, S.T.'?"),
        ({"user": "ani", "ordered_by": "kepala"}, "--via telepon"),
        ({"user": "kepala", "ordered_by": "kepala", "via": "telepon"}, "--ordered-by"),
        ({"user": "ani", "ordered_by": "budi", "via": "telepon"}, "--break-glass"),
        ({"user": "ani", "ordered_by": "wakil", "via": "telepon"}, "--reason"),
        ({"user": "mallory", "ordered_by": "kepala", "via": "telepon"}, "--break-glass"),
    ],
)
def test_an_order_by_phone_that_cannot_be(ledger: Ledger, claim: dict[str, str], error: str) -> None:
    record = report(ledger)
    with pytest.raises((UsageError, IncidentError)) as caught:
        ledger.act(record, "declare", Claim(claim.pop("user"), **claim))
    assert error in caught.value.hint
    assert ledger.again(record).incident.phase is record.incident.phase


def test_without_people_yml_only_broken_glass_goes_on(folder: Path, ledger: Ledger) -> None:
    (folder / "people.yml").unlink()
    bare = Ledger(ledger.office)
    record = report(bare)
    with pytest.raises(IncidentError):
        bare.act(record, "declare", Claim("root"))
    assert bare.act(record, "declare", Claim("root", break_glass="kantor baru")).changed


# --- people.yml ---------------------------------------------------------------------------------


def test_people_are_read(folder: Path) -> None:
    people = load_people(folder)
    assert people.koordinator and people.koordinator.user == "kepala"
    assert [person.user for person in people.authority()] == ["kepala", "wakil", "wakil2"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("role: koordinator", "rol: koordinator", ":2: unknown key 'people[1].rol', did you mean 'role'?"),
        ("role: koordinator", "role: tim", ":1: exactly one koordinator is needed"),
        ("name: Ani Tim, role: tim", "name: Ani Tim, role: koordinator", ":5: exactly one koordinator is needed"),
        ("deputies: [wakil,", "deputies: [wakli,", ":2: 'deputies': there is no 'wakli', did you mean 'wakil'?"),
        ("deputies: [wakil,", "deputies: [kepala,", ":2: 'kepala' stands twice"),
        ("user: budi", "user: ani", ":6: 'ani' stands twice"),
        ("name: Budi Tim", "name: ani tim", ":6: 'ani tim' stands twice"),
        ("name: Budi Tim, role: tim", "name: Budi Tim, role: tim, deputies: [ani]", ":6: only the koordinator has deputies"),
        ("user: budi", "user: 'bu di; rm'", ":6: 'people[5].user': a login such as budi is needed"),
        ("role: tim}\n", "role: tim, ssh_key: geheim}\n", ":3: 'people[2].ssh_key': a public SSH key"),
        ("people:", "peoples:", ":1: unknown key 'peoples', did you mean 'people'?"),
    ],
)  # fmt: skip
def test_a_mistake_in_people_yml_is_told_with_its_line(folder: Path, old: str, new: str, said: str) -> None:
    assert old in PEOPLE
    (folder / "people.yml").write_text(PEOPLE.replace(old, new, 1))
    with pytest.raises(PeopleError) as caught:
        load_people(folder)
    assert f"people.yml{said}" in caught.value.detail


@pytest.mark.parametrize("office", ["example"])
def test_the_example_is_right(office: str) -> None:
    from lpse_dr.content import content_root

    people = load_people(content_root() / "inventories" / office)
    assert people.koordinator is not None and people.deputies
