"""What was found about each set, that no set was changed, and that the quarantine is one."""

from __future__ import annotations

import json
from typing import Any

import pytest

VAULT, OWN = "/var/lib/lpse-dr/vault", "/var/lib/lpse-dr/backup"
FATES = {
    "20200902T000000Z-pdc": ("clean", ""),
    "20200903T000000Z-pdc": ("damaged", "part_differs"),
    "20200904T000000Z-pdc": ("infected", "Lab.Eicar"),
    "20200905T000000Z-pdc": ("infected", "Lab.Worm"),
    "20200906T000000Z-pdc": ("infected", "ransomware_trace"),
    "20200907T000000Z-pdc": ("damaged", "forged"),
}
CLEAN = "20200902T000000Z-pdc"


def verdict(host: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.file(f"{OWN}/verdicts/{name}.json").content_string)
    return found


@pytest.mark.parametrize("name", FATES)
def test_each_set_is_judged_by_its_fate(on: Any, name: str) -> None:
    found = verdict(on("drc-vault"), name)
    wanted, words = FATES[name]
    if name != CLEAN or found["verdict"] == "unknown":
        assert words in json.dumps(found["evidence"])
    assert found["verdict"] in (wanted, "unknown") if name == CLEAN else found["verdict"] == wanted


def test_the_dump_was_looked_into(on: Any) -> None:
    found = verdict(on("drc-vault"), "20200905T000000Z-pdc")
    text = json.dumps(found)
    assert "public.attachment" in text and "large object" in text
    assert found["figures"]["values"] >= 2 and found["figures"]["large_objects"] == 1
    assert any(note["id"] == "code_changed" and "price" in note["found"] for note in found["notes"])


def test_no_set_was_changed(on: Any) -> None:
    for name in FATES:
        manifest = json.loads(on("drc-vault").file(f"{VAULT}/{name}/manifest.json").content_string)
        for part in manifest["parts"]:
            same = on("drc-vault").file(f"{VAULT}/{name}/{part['name']}").sha256sum == part["sha256"]
            assert same is not (name.startswith("20200903") and part["name"] == "files.tar")


def test_the_quarantine_has_no_network_and_no_rights(on: Any) -> None:
    vault = on("drc-vault")
    unit = f"lpse-dr-quarantine-{CLEAN.lower()}"
    pid = vault.check_output("systemctl show -p MainPID --value %s", unit)
    assert vault.check_output("stat -c %%U /proc/%s", pid) == "lpse-dr-quarantine"
    names = [line.split(":")[0].strip() for line in vault.check_output("cat /proc/%s/net/dev", pid).splitlines()[2:]]
    assert names == ["lo"]
    checked = json.loads(vault.file(f"/var/lib/lpse-dr/quarantine/restored/{CLEAN}/checked.json").content_string)
    assert (checked["bids"], checked["tenders"], checked["without_document"], checked["read_only"]) == (
        44,
        3,
        0,
        True,
    )


def test_nothing_of_an_inspection_is_left(on: Any) -> None:
    assert on("drc-vault").check_output("ls /var/lib/lpse-dr/quarantine/inspect") == ""
    assert on("drc-vault").run("pgrep -x clamd").rc == 1
