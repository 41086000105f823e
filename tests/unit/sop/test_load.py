"""An office adds conditions without code; what is wrong is told at once, with file, line and the nearest right key."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from lpse_dr import i18n
from lpse_dr.sop import SopError, load_sop
from lpse_dr.sop.load import FOLDER

GOOD = """\
conditions:
  - id: atap-bocor
    aliases: [leaking-roof]
    text: Atap bocor di ruang server
    english: The server room's roof leaks
    steps:
      - {step: people.evacuate, text: Aman, english: Safe}
      - {step: roof.cover, manual: true, text: Tutup perangkat, english: Cover the machines}
      - {step: service.relocate, text: Pindah, english: Move, only_if: {text: "basah?", english: "wet?"}}
steps:
  - {condition: gempa, place: last, step: replication.verify, text: Pastikan, english: Make sure}
"""


@pytest.fixture(autouse=True)
def _english() -> object:
    i18n.use("en")
    yield
    i18n.use(i18n.DEFAULT)


def _office(folder: Path, text: str, name: str = "kami.yml") -> Path:
    (folder / "conditions.d").mkdir(exist_ok=True)
    (folder / "conditions.d" / name).write_text(text, encoding="utf-8")
    return folder


def test_an_office_adds_without_code(tmp_path: Path) -> None:
    sop = load_sop(_office(tmp_path, GOOD))
    found = sop.named("leaking roof")
    assert found is not None and found is sop.condition("atap-bocor")
    assert (found.row, found.addition, found.source) == (None, True, "conditions.d/kami.yml")
    assert [(step.id, step.manual, step.addition) for step in found.steps] == [
        ("people.evacuate", True, True),
        ("roof.cover", True, True),
        ("service.relocate", False, True),
    ]
    quake = sop.named("1")
    assert quake is not None
    # The SOP's own line stands as it stood.
    assert [(step.id, step.addition) for step in quake.steps] == [
        ("people.evacuate", False),
        ("replication.verify", True),
    ]


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_sop().conditions[0].text = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("aliases:", "alias:", ":3: unknown key 'conditions[1].alias', did you mean 'aliases'?"),
        ("step: people.evacuate", "step: people.evacuat", ":7: 'step': there is no 'people.evacuat', did you mean 'people.evacuate'?"),
        ("manual: true, ", "", ":8: 'step': there is no 'roof.cover'"),
        ("only_if: {text", "onlyif: {text", ":9: unknown key 'conditions[1].steps[3].onlyif', did you mean 'only_if'?"),
        (', english: "wet?"', "", ":9: 'conditions[1].steps[3].only_if.english' is missing"),
        ("condition: gempa", "condition: gemba", ":11: 'condition': there is no 'gemba', did you mean 'gempa'?"),
        ("place: last", "place: lst", ":11: 'steps[1].place': one of first, last is needed, did you mean 'last'?"),
        ("id: atap-bocor", "id: banjir", ":2: 'id': 'banjir' is taken by conditions.yml"),
        ("leaking-roof", "flood", ":3: 'aliases': 'flood' is taken by conditions.yml"),
        ("id: atap-bocor", "id: Atap Bocor", ":2: 'conditions[1].id'"),
        ("    text: Atap", "    row: 9\n    text: Atap", ":4: unknown key 'conditions[1].row'"),
        ("step: roof.cover", "step: people.evacuate", ":8: 'people.evacuate' stands twice"),
        ("text: Aman", 'text: "A\\e[31mman"', ":7: 'conditions[1].steps[1].text': a text of one line is needed"),
        ("text: Aman", "text: 5", ":7: 'conditions[1].steps[1].text': a text is needed"),
        ("manual: true", "manual: perhaps", ":8: 'conditions[1].steps[2].manual': true or false is needed"),
        ("conditions:\n", "conditions: none\n", ":2: "),
        ("  - id: atap-bocor\n", "  - id: atap-bocor\n    id: atap\n", ":3: 'conditions[1].id' stands twice"),
        ("steps:\n  - {", "steps:\n\t- {", ":11: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_the_nearest_right_word(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(SopError) as caught:
        load_sop(_office(tmp_path, GOOD.replace(old, new, 1)))
    assert f"conditions.d/kami.yml{said}" in caught.value.detail
    assert caught.value.exit_code == 2


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    _office(tmp_path, GOOD.replace("text: Aman", "txt: Aman").replace("condition: gempa", "condition: gemba"))
    _office(tmp_path, "conditons: []\n", "lain.yml")
    with pytest.raises(SopError) as caught:
        load_sop(tmp_path)
    lines = caught.value.detail.splitlines()
    assert len(lines) == 4, "unknown key, missing key, unknown condition, unknown key in the other file"
    assert len({line.split(":")[0] for line in lines}) == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("conditions.yml", "row: 3", "row: 4", "rows 1 to 8 are needed, in order; found: 1, 2, 4, 4"),
        ("steps.yml", "{id: fire.extinguish, manual: true}", "{id: fire.extinguish}", "'fire.extinguish' is either manual or has operations"),
        ("steps.yml", "first: replication.halt", "first: replication.hold", "there is no 'replication.hold', did you mean 'replication.halt'?"),
        ("steps.yml", "condition: virus}", "condition: virsu}", "there is no 'virsu', did you mean 'virus'?"),
        ("activities.yml", "role: tim", "role: team", "one of koordinator, tim is needed, did you mean 'tim'?"),
    ],
)  # fmt: skip
def test_the_programs_own_files_are_held_to_the_same(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    for path in FOLDER.glob("*.yml"):
        shutil.copy(path, tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(SopError) as caught:
        load_sop(folder=tmp_path)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("word", "exact", "near"),
    [
        ("banjir", "banjir", None),
        ("Flood", "banjir", None),
        ("7", "virus", None),
        ("computer virus", "virus", None),
        ("kebakaran", "kebakaran", None),
        ("KEBAKARAN_TERISOLASI", "kebakaran-terisolasi", None),
        ("bnajir", None, ["banjir"]),
        ("kebak", None, ["kebakaran", "kebakaran-terisolasi"]),
        ("terisolasi", None, ["kebakaran-terisolasi"]),
        ("xyz", None, []),
        ("", None, []),
        ("9", None, []),
    ],
)
def test_a_word_means_one_condition_or_the_nearest_are_offered(
    word: str, exact: str | None, near: list[str] | None
) -> None:
    sop = load_sop()
    found = sop.named(word)
    assert (found.id if found else None) == exact
    if near is not None:
        assert [item.id for item in sop.near(word)] == near
