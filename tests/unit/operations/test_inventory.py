"""A wrong inventory is refused before any Ansible starts, with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpse_dr import i18n
from lpse_dr.content import content_root
from lpse_dr.errors import InventoryError, RefusedError
from lpse_dr.operations.inventory import read_inventory

GOOD = """
all:
  children:
    site_pdc: {vars: {site: pdc}, hosts: {pdc-db: {secret: !vault "x"}, pdc-app: {}}}
    site_drc: {hosts: {drc-db: {site: drc}, drc-app: {}}}
    database: {hosts: {pdc-db: , drc-db: }}
    application: {hosts: {pdc-app: {}, drc-app: {}}}
"""


@pytest.fixture(autouse=True)
def _english() -> object:
    i18n.use("en")
    yield
    i18n.use(i18n.DEFAULT)


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_good_inventory(tmp_path: Path) -> None:
    inventory = read_inventory(_write(tmp_path, GOOD))
    assert inventory.sites == {"pdc": ("pdc-db", "pdc-app"), "drc": ("drc-db", "drc-app")}
    assert inventory.hosts("drc", "database") == ("drc-db",)
    assert inventory.require_site("pdc") == "pdc"


def test_children_are_followed(tmp_path: Path) -> None:
    text = GOOD.replace(
        "database: {hosts: {pdc-db: , drc-db: }}", "database: {children: {postgres: {hosts: {pdc-db: , drc-db: }}}}"
    )
    assert read_inventory(_write(tmp_path, text)).hosts("pdc", "database") == ("pdc-db",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "hosts.yml"),
        ("[]", "hosts.yml"),
        ("all: [\n", "hosts.yml:2"),
        ("all: {children: {site_pdc: {hosts: [a]}}}", "'hosts' of group 'site_pdc'"),
        ("all: {children: {site_pdc: x}}", "group 'site_pdc' is not"),
        (GOOD.replace("site_drc", "other"), "two groups site_NAME are needed, found: pdc"),
        (
            GOOD.replace("drc-app: {}}}\n    database", "pdc-db: {}}}\n    database"),
            "host 'pdc-db' is in two sites: pdc, drc",
        ),
        (GOOD.replace("pdc-db: , drc-db: ", "pdc-db: "), "site 'drc' has no host in group database"),
        (GOOD.replace("site: drc", "site: dcr"), "names an unknown site: dcr"),
        (GOOD.replace("site: drc", "site: pdc"), "is in group site_drc, but its variable says pdc"),
    ],
)
def test_bad_inventory_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read_inventory(_write(tmp_path, text))
    assert said in caught.value.detail
    assert caught.value.exit_code == 3


def test_missing_inventory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as caught:
        read_inventory(tmp_path / "hosts.yml")
    assert str(tmp_path) in caught.value.detail


@pytest.mark.parametrize(("typed", "meant"), [("dcr", "drc"), ("pcd", "pdc"), ("DRC", ""), ("drc2", "drc")])
def test_unknown_site_suggests_the_nearest(tmp_path: Path, typed: str, meant: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_inventory(_write(tmp_path, GOOD)).require_site(typed)
    assert (f"'{meant}'" in caught.value.hint) if meant else True
    assert "pdc, drc" in caught.value.detail


def test_the_example_is_an_office() -> None:
    from lpse_dr.office import load_office

    folder = content_root() / "inventories" / "example"
    office = load_office(folder)
    inventory = read_inventory(office.inventory)
    assert set(inventory.sites) == {"pdc", "drc"}
    for site in inventory.sites:
        for group in ("database", "application", "gateway", "jump"):
            assert inventory.hosts(site, group), (site, group)
