"""`conditions` and what is new in `journal`: what a person sees who types something, right or wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Call, Playbook


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("bnajir", "Did you mean 'banjir'?"),
        ("kebak", "Did you mean 'kebakaran', 'kebakaran-terisolasi'?"),
        ("xyzzy", "conditions list"),
        ("99", "conditions list"),
        ("ban\x1b[2Jjir", "Did you mean 'banjir'?"),
    ],
)
def test_a_condition_that_is_none_is_answered_with_the_nearest(
    call: Call, office: Path, word: str, said: str
) -> None:
    spoken = call("conditions", "show", word, "--office", office)
    assert spoken.code == 2
    assert said in " ".join(spoken.err.split())
    assert "\x1b" not in spoken.err


def test_conditions_list(call: Call, office: Path) -> None:
    spoken = call("conditions", "list", "--office", office)
    assert all(len(line) <= 60 for line in spoken.out.splitlines())
    listed = call("conditions", "list", "--office", office, "--output", "json").envelope["conditions"]
    assert [(item["id"], item["sop_row"]) for item in listed[:8]] == [
        ("gempa", 1),
        ("banjir", 2),
        ("kebakaran", 3),
        ("kebakaran-terisolasi", 4),
        ("demo", 5),
        ("wabah", 6),
        ("virus", 7),
        ("teror", 8),
    ]
    assert all(item["sop_row"] is None and item["addition"] for item in listed[8:])
    assert spoken.out.count("(tambahan,") == len(listed) - 8
    assert {"id", "text", "manual", "addition"} <= set(listed[0]["steps"][0])


def test_what_is_not_installed_is_said_to_be_missing(call: Call, office: Path, playbook: Playbook) -> None:
    playbook("switchover")
    spoken = call("conditions", "show", "virus", "--office", office)
    assert "vlan.isolate: not available in this version, do it by hand" in " ".join(spoken.out.split())
    playbook("vlan_isolate")
    spoken = call("conditions", "show", "virus", "--office", office)
    assert "[vlan.isolate] by the tool: vlan.isolate" in " ".join(spoken.out.split())


def test_a_mistake_in_the_offices_own_conditions_stops_with_its_line(call: Call, office: Path) -> None:
    (office / "conditions.d").mkdir()
    (office / "conditions.d" / "kami.yml").write_text("condition: []\n")
    spoken = call("conditions", "list", "--office", office)
    assert spoken.code == 2
    assert "kami.yml:1: unknown key 'condition', did you mean 'conditions'?" in " ".join(spoken.err.split())


def test_journal_says_what_is_proven_by_what_and_exports(
    call: Call, office: Path, playbook: Playbook, tmp_path: Path
) -> None:
    playbook("switchover", {"kind": "verdict", "verdict": "COMPLETED", "changed": True, "error": None})
    call("switchover", "--from", "pdc", "--to", "drc", "--yes", "--office", office)
    spoken = call("journal", "verify", "--office", office)
    assert all(word in spoken.out for word in ("The chain proves", "Signatures: not available", "Mirror: none"))
    (journal,) = call("journal", "verify", "--office", office, "--output", "json").envelope["journals"]
    assert journal["proven_by"] == {"chain": True, "signatures": None, "mirror": None}
    words = ("journal", "export", journal["record"], "--to", tmp_path / "pack.tgz", "--office", office)
    (pack,) = call(*words, "--output", "json").envelope["packs"]
    assert (pack["head"], pack["file"]) == (journal["head"], str(tmp_path / "pack.tgz"))
    assert call(*words).code == 2, "nothing is written over"
