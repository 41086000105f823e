"""An office with a team, and its ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lpse_dr import i18n
from lpse_dr.incident.authority import Claim
from lpse_dr.incident.ledger import Ledger, Record
from lpse_dr.office import load_office

PEOPLE = """\
people:
  - {user: kepala, name: "Ibu Kepala, S.T.", role: koordinator, deputies: [wakil, wakil2]}
  - {user: wakil, name: Pak Wakil, role: tim}
  - {user: wakil2, name: Bu Wakil Dua, role: tim}
  - {user: ani, name: Ani Tim, role: tim}
  - {user: budi, name: Budi Tim, role: tim}
"""
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # 10:00 WITA

Walk = Callable[..., Record]


@pytest.fixture(autouse=True)
def _english() -> object:
    i18n.use("en")
    yield
    i18n.use(i18n.DEFAULT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The office's folder."""
    path = tmp_path / "office"
    path.mkdir()
    (path / "office.yml").write_text("name: LPSE Uji\nstate_folder: ../state\n")
    (path / "people.yml").write_text(PEOPLE)
    return path


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    """The office's incidents; it is 10:00 WITA."""
    return Ledger(load_office(folder), clock=lambda: NOW)


@pytest.fixture(autouse=True)
def _login(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal writes down the login that the claim names, as in real life where both are asked of the system."""
    real = Claim.__init__

    def init(self: Claim, user: str, **more: str) -> None:
        monkeypatch.setenv("SUDO_USER", user)
        real(self, user, **more)

    monkeypatch.setattr(Claim, "__init__", init)


def report(ledger: Ledger, word: str = "banjir", **more: object) -> Record:
    """Take a report in, from a guard."""
    condition = ledger.sop.named(word)
    assert condition is not None
    told: dict[str, object] = {"reporter": "Pak Satpam", "via": "telepon", "user": "ani", **more}
    return ledger.report(condition, **told)  # type: ignore[arg-type]


def until(ledger: Ledger, act: str, word: str = "gempa", **more: object) -> Record:
    """Return an incident in which everything up to this act was done by the right people."""
    from lpse_dr.incident.steps import Told, done

    record = report(ledger, word, **more)
    for name, user in (
        ("report", ""), ("declare", "kepala"), ("order", "kepala"), ("steps", "ani"), ("recovered", "ani"),
        ("return", "kepala"), ("analyse", "ani"), ("close", "kepala"),
    ):  # fmt: skip
        if name == "steps":
            for status in record.incident.open_steps:
                if status.progress.value == "asked":
                    from lpse_dr.incident.steps import answer

                    record = answer(ledger, record, status.step.id, False, Told(), Claim(user))
                else:
                    record = done(ledger, record, status.step.id, Told(note="by hand"), Claim(user))
        elif name != "report":
            record = ledger.act(record, name, Claim(user), text="kata").record
        if name == act:
            break
    return record
