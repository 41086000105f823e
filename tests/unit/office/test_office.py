"""An office is found or refused with a cure; office.yml has a closed schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpse_dr import i18n, office
from lpse_dr.errors import OfficeError
from lpse_dr.office import find_office, lab_folder, load_office, state_folder


@pytest.fixture(autouse=True)
def _quiet_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(office, "SYSTEM_OFFICE", tmp_path / "etc")
    monkeypatch.setattr(office, "SYSTEM_STATE", tmp_path / "var")
    monkeypatch.delenv("LPSE_DR_OFFICE", raising=False)
    i18n.use("en")
    yield
    i18n.use(i18n.DEFAULT)


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "office.yml").write_text(text, encoding="utf-8")
    return folder


def test_everything_is_read(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "office",
        "name: LPSE\nletterhead: [A, B]\ntime_zone: Asia/Jakarta\nlanguage: en\nlimits: {lag_bytes: 5, drain_seconds: 9}\n"
        "state_folder: ../state\nmirror: drc-jump\nvault_password_file: secret\n",
    )
    found = load_office(folder)
    assert (found.name, found.letterhead, found.time_zone, found.language) == (
        "LPSE",
        ("A", "B"),
        "Asia/Jakarta",
        "en",
    )
    assert (found.limits.lag_bytes, found.limits.drain_seconds, found.limits.clock_skew_seconds) == (5, 9, 1)
    assert found.state == tmp_path / "state"
    assert found.vault_password_file == folder / "secret"
    assert found.heading == "LPSE"


def test_defaults(tmp_path: Path) -> None:
    found = load_office(_write(tmp_path / "office", "name: LPSE\n"))
    assert (found.time_zone, found.language, found.state) == ("Asia/Makassar", "id", tmp_path / "var")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: A\nlimit: {}\n", ":2: unknown key 'limit', did you mean 'limits'?"),
        ("name: A\nlimits:\n  lag_byte: 3\n", ":3: unknown key 'limits.lag_byte', did you mean 'lag_bytes'?"),
        ("name: A\nlimits: {lag_bytes: -1}\n", ":2: 'limits.lag_bytes'"),
        ("name: A\nlimits: {lag_bytes: yes}\n", ":2: 'limits.lag_bytes'"),
        ("name: A\nlimits: 5\n", ":2: limits must be a list"),
        ("name: A\ntime_zone: Asia/Nowhere\n", ":2: 'time_zone'"),
        ("name: A\ntime_zone: ../../etc/passwd\n", ":2: 'time_zone'"),
        ("name: A\nlanguage: nl\n", ":2: 'language'"),
        ("name: ''\n", ":1: 'name'"),
        ("name: [A]\n", ":1: 'name'"),
        ("letterhead: text\nname: A\n", ":1: 'letterhead'"),
        ("name: A\nname: B\n", ":2: 'name' stands twice"),
        ("language: id\n", "'name' is missing"),
        ("", "'name' is missing"),
        ("- a\n", ":1: office.yml must be a list"),
        ("name: A\n\tx: 1\n", ":2: "),
        ("name: !!python/object/apply:os.system [id]\n", ":1: "),
    ],
)
def test_bad_office_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(OfficeError) as caught:
        load_office(_write(tmp_path / "office", text))
    assert said in caught.value.detail
    assert caught.value.exit_code == 2


def test_all_errors_at_once(tmp_path: Path) -> None:
    with pytest.raises(OfficeError) as caught:
        load_office(_write(tmp_path / "office", "nam: A\nlanguage: nl\nlimits: {x: 1}\n"))
    assert len(caught.value.detail.splitlines()) == 4


def test_no_office_is_assumed(tmp_path: Path) -> None:
    with pytest.raises(OfficeError) as caught:
        find_office()
    for named in ("--office", "$LPSE_DR_OFFICE", str(tmp_path / "etc")):
        assert named in caught.value.detail
    assert caught.value.exit_code == 2


def test_places_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "etc", "name: system\n")
    assert find_office().name == "system"
    monkeypatch.setenv("LPSE_DR_OFFICE", str(_write(tmp_path / "env", "name: env\n")))
    assert find_office().name == "env"
    assert find_office(str(_write(tmp_path / "opt", "name: opt\n"))).name == "opt"
    with pytest.raises(OfficeError):
        find_office(str(tmp_path / "nowhere"))
    with pytest.raises(OfficeError):
        find_office(str(tmp_path / "opt"), lab="demo")


def test_lab_is_named_and_keeps_its_own_state(tmp_path: Path) -> None:
    with pytest.raises(OfficeError) as caught:
        find_office(lab="demo")
    assert caught.value.hint == "lpse-dr lab up --name demo"
    _write(lab_folder("demo") / "office", "name: whatever\n")
    found = find_office(lab="demo")
    assert found.heading == "LAB demo"
    assert found.state == tmp_path / "var" / "lab" / "demo" / "state"


@pytest.mark.parametrize("name", ["../x", "", "A", "-x", "a/b", "x" * 21])
def test_lab_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(OfficeError):
        lab_folder(name)


def test_state_elsewhere_is_said_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert state_folder(said.append) == tmp_path / "var"
    assert not said
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(office, "SYSTEM_STATE", tmp_path / "file" / "below")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_folder(said.append) == tmp_path / "xdg" / "lpse-dr"
    assert str(tmp_path / "xdg") in said[0]
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_folder() == tmp_path / "home" / ".local" / "state" / "lpse-dr"
