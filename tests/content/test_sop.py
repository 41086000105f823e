"""The program prints the SOP word for word: its data and its screen are compared with the copy in docs/sop."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lpse_dr.cli.main import main
from lpse_dr.sop import load_sop

ROOT = Path(__file__).resolve().parents[2]
PAPER = next((ROOT / "docs" / "sop").iterdir()).read_text(encoding="utf-8")
# Layout of the conversion to text, not words of the SOP.
MARKS = re.compile(r"</?i>|\*")


def rows(heading: str) -> dict[int, list[str]]:
    """Return a table's rows by number; a row that a page break has torn is one row."""
    found: dict[int, list[str]] = {}
    number = 0
    for line in PAPER.partition(heading)[2].partition("\n## ")[0].splitlines():
        cells = [MARKS.sub("", cell).strip() for cell in line.split("\t")]
        if cells[0].isdigit():
            number = int(cells[0])
            found[number] = cells[1:]
        elif number and len(cells) > 1 and not cells[0]:
            found[number][0] += f" {cells[1]}"
    return found


ACTIVITIES = rows("## 1. Prosedur Penanganan Kondisi Darurat")
CONDITIONS = rows("## 2. Intruksi Kerja Tanggap Darurat")
INSTRUCTIONS = {
    number: [line.strip() for line in re.split(r"(?:^|(?<= ))\d\. ", cells[1]) if line.strip()]
    for number, cells in CONDITIONS.items()
}


def test_the_paper_is_read_whole() -> None:
    assert len(ACTIVITIES) == 11
    assert len(CONDITIONS) == 8
    assert sum(map(len, INSTRUCTIONS.values())) == 20


def test_activities_are_the_papers_own() -> None:
    sop = load_sop()
    assert {item.number: item.text for item in sop.activities} == {n: cells[0] for n, cells in ACTIVITIES.items()}
    for item in sop.activities[1:-1]:
        # Who acts is the subject of the sentence; where it begins otherwise, the first one named.
        first = min(("Koordinator", "Tim"), key=lambda word: (item.text + word).index(word))
        assert item.role.value == first.lower()


@pytest.mark.parametrize("number", CONDITIONS)
def test_conditions_are_the_papers_own(number: int) -> None:
    condition = next(item for item in load_sop().conditions if item.row == number)
    assert condition.text == CONDITIONS[number][0]
    assert [step.text for step in condition.steps if not step.addition] == INSTRUCTIONS[number]
    assert all(step.english and step.english != step.text for step in condition.steps)


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("number", CONDITIONS)
def test_the_screen_shows_the_papers_lines_in_order(
    number: int, language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "office.yml").write_text("name: LPSE Uji\nstate_folder: state\n")
    words = ["conditions", "show", str(number), "--office", str(tmp_path), "--lang", language]
    assert main(words) == 0
    screen = capsys.readouterr().out
    assert all(len(line) <= 60 for line in screen.splitlines())
    printed = " ".join(screen.split())
    place = printed.index(CONDITIONS[number][0])
    for position, line in enumerate(INSTRUCTIONS[number], start=1):
        place = printed.index(f" {position}. {line}", place)
    assert main([*words, "--output", "json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["conditions"]
    assert (shown["sop_row"], shown["text"]) == (number, CONDITIONS[number][0])
    assert [step["text"] for step in shown["steps"] if not step["addition"]] == INSTRUCTIONS[number]
    # What was added is told apart wherever it is shown.
    assert printed.count("tambahan, bukan SOP") == sum(step["addition"] for step in shown["steps"])


def test_steps_are_mapped_as_the_lines_say() -> None:
    mapped = {item.row: [step.id for step in item.steps if not step.addition] for item in load_sop().conditions}
    people, move, verify = "people.evacuate", "service.relocate", "replication.verify"
    mapped.pop(None)
    assert mapped == {
        1: [people],
        2: [people, move],
        3: [people, "fire.extinguish", move],
        4: ["fire.extinguish", verify, move],
        5: [people, verify, move],
        6: [people, verify],
        7: ["vlan.isolate", "replication.halt", "backup.find_clean"],
        8: [people, verify, move],
    }
    asked = {item.row for item in load_sop().conditions for step in item.steps if step.only_if and not step.addition}
    assert asked == {4, 5, 8}


def test_every_operation_that_an_instruction_names_is_known_or_said_to_be_missing() -> None:
    from lpse_dr.cli.grammar import load_noun, noun_names
    from lpse_dr.operations.start import installed

    commands = {
        verb.operation.id for name in noun_names() for verb in load_noun(name).verbs if verb.operation is not None
    }
    named = {choice.id for kind in load_sop().kinds for choice in kind.operations}
    assert {"switchover", "replication.verify"} <= named & commands
    assert {operation for operation in named if installed(operation)} == named & commands
