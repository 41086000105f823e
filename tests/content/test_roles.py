"""House rules of roles: what argument_specs promise is what is there, and every change can be undone or says why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
BLOCKS = ("Read", "Guard", "Arm", "Act", "Prove")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def specs(role: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return loaded


def inverse_of(spec: dict[str, Any]) -> str | None:
    """Return what "Inverse: X." says in an entry point's description, None where it only reads."""
    words = " ".join(spec["description"])
    found = re.search(r"Inverse: (\w+)", words)
    assert bool(found) != ("Reads only." in words), "an entry point reads only, or names its inverse"
    return found[1] if found else None


ENTRIES = [(role, entry) for role in ROLES for entry in specs(role)]
CHANGING = [(role, entry) for role, entry in ENTRIES if inverse_of(specs(role)[entry])]


def tasks_of(role: str, entry: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = load(ROOT / "roles" / role / "tasks" / f"{entry}.yml")
    return loaded


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_a_section_and_every_section_an_entry_point(role: str) -> None:
    files = {path.stem for path in (ROOT / "roles" / role / "tasks").glob("*.yml")}
    assert files == set(specs(role))


@pytest.mark.parametrize("role", ROLES)
def test_arguments_are_the_defaults_and_what_is_required(role: str) -> None:
    options = {name: option for spec in specs(role).values() for name, option in (spec.get("options") or {}).items()}
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    optional = {name for name, option in options.items() if not option.get("required")}
    # What another role defaults is read here too, where the two live on one host.
    foreign = {name for name in optional if not name.startswith(f"{role}_")}
    assert optional - foreign == set(defaults)
    assert all(
        name in (load(ROOT / "roles" / name.split("_")[0] / "defaults" / "main.yml") or {}) for name in foreign
    )
    for name, option in options.items():
        if "default" in option and name in defaults:
            assert option["default"] == defaults[name], name


@pytest.mark.parametrize(("role", "entry"), CHANGING)
def test_the_inverse_exists(role: str, entry: str) -> None:
    inverse = inverse_of(specs(role)[entry])
    if inverse == "none":
        assert "because" in " ".join(specs(role)[entry]["description"])
    else:
        assert inverse in specs(role)
        assert inverse_of(specs(role)[str(inverse)]) is not None, "the way back changes something too"


@pytest.mark.parametrize(("role", "entry"), CHANGING)
def test_a_change_has_its_five_blocks_and_a_rescue(role: str, entry: str) -> None:
    outer = tasks_of(role, entry)
    assert len(outer) == 1
    names = [task["name"] for task in outer[0]["block"]]
    assert names == [f"{entry} | {block}" for block in BLOCKS]
    # A failure that was cleaned up is still a failure: the shared parts fail again, or the verdict does.
    assert outer[0]["rescue"]
    assert re.search(r"parts/(restore|fail_again)|'verdict': ", str([outer[0]["rescue"], outer[0].get("always")]))


@pytest.mark.parametrize("role", ROLES)
def test_every_public_entry_point_has_its_playbook(role: str) -> None:
    for entry, spec in specs(role).items():
        playbook = ROOT / "playbooks" / f"{role}_{entry}.yml"
        if "No command of its own." in " ".join(spec["description"]):
            assert not playbook.exists()
        else:
            assert f"{role}_{entry}.yml" in playbook.read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*_*.yml")), ids=lambda path: path.stem)
def test_a_playbook_named_as_noun_and_verb_belongs_to_an_entry_point(path: Path) -> None:
    noun, _, verb = path.stem.partition("_")
    assert noun in ROLES
    assert verb in specs(noun)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_scenario_that_looks_again_after_breaking_something(role: str) -> None:
    folder = ROOT / "molecule" / role
    assert {"molecule.yml", "converge.yml", "side_effect.yml"} <= {path.name for path in folder.iterdir()}
    assert list((folder / "tests").glob("test_*.py"))


@pytest.mark.parametrize("folder", ["haproxy", "nsupdate", "manual"])
def test_providers_have_equal_files(folder: str) -> None:
    found = {path.name for path in (ROOT / "roles/traffic/tasks" / folder).glob("*.yml")}
    assert found == {path.name for path in (ROOT / "roles/traffic/tasks/haproxy").glob("*.yml")}
