"""A look at the inventory before any Ansible starts: what a person got wrong is said at once.

Only the shape is judged (sites, groups, hosts); what the hosts are like is for the guards.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InventoryError, JudgedError
from ..i18n import _

_SITE = "site_"


class SiteError(JudgedError):
    """The order does not name two different sites of the inventory."""


@dataclass(frozen=True)
class Inventory:
    """Hosts by site, and the groups that matter here."""

    path: Path
    sites: dict[str, tuple[str, ...]]
    groups: dict[str, tuple[str, ...]]

    def hosts(self, site: str, group: str) -> tuple[str, ...]:
        """Return a site's hosts in this group."""
        members = self.groups.get(group, ())
        return tuple(host for host in self.sites.get(site, ()) if host in members)

    def require_site(self, name: str) -> str:
        """Return the name, or refuse an unknown site and name the nearest."""
        if name in self.sites:
            return name
        # Swapped letters are the commonest slip, and difflib does not prefer them.
        typed = name.lower()
        near = [site for site in self.sites if sorted(site) == sorted(typed)]
        near = near or difflib.get_close_matches(typed, self.sites, n=1, cutoff=0.3)
        known = ", ".join(self.sites)
        raise SiteError(
            "site.known",
            _("There is no site '{name}'.").format(name=name),
            expected=_("one of the sites {sites}").format(sites=known),
            found=name or "-",
            detail=_("The inventory has: {sites}.").format(sites=known),
            hint=_("Did you mean '{near}'?").format(near=near[0]) if near else _("Name one of them."),
        )


def _load(path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, and takes Ansible's own tags (vault, unsafe) for what they are here: somebody else's text."""

    def any_tag(_loader: Any, suffix: str, node: Any) -> Any:
        return "" if not isinstance(node, yaml.ScalarNode) else f"<{suffix}>"

    Loader.add_multi_constructor("!", any_tag)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError as error:
        raise InventoryError(
            _("The inventory is missing."), detail=str(path), hint=_("Start from inventories/example.")
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InventoryError(
            _("The inventory cannot be read."), detail=f"{path}: {error}", hint=_("Make it readable for this user.")
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise InventoryError(
            _("The inventory cannot be read."), detail=f"{where}: {problem}", hint=_("Correct this line.")
        ) from error


class _Reader:
    """Walks the groups and collects hosts, and every problem on the way."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, None]] = {}
        self.site_of: dict[str, str] = {}
        self.problems: list[str] = []
        self._path: list[str] = []

    def group(self, name: str, body: Any) -> dict[str, None]:
        """Return the hosts of a group, those of its children included."""
        found = self.members.setdefault(name, {})
        if body is None or name in self._path:
            return found
        if not isinstance(body, dict):
            self.problems.append(_("group '{name}' is not a mapping").format(name=name))
            return found
        self._path.append(name)
        hosts = body.get("hosts") or {}
        children = body.get("children") or {}
        if isinstance(hosts, dict):
            for host, variables in hosts.items():
                found[str(host)] = None
                if isinstance(variables, dict) and isinstance(variables.get("site"), str):
                    self.site_of[str(host)] = variables["site"]
        else:
            self.problems.append(_("'hosts' of group '{name}' is not a mapping").format(name=name))
        if isinstance(children, dict):
            for child, below in children.items():
                found.update(self.group(str(child), below))
        else:
            self.problems.append(_("'children' of group '{name}' is not a mapping").format(name=name))
        self._path.pop()
        return found


def read_inventory(path: Path) -> Inventory:
    """Read OFFICE/inventory/hosts.yml; InventoryError (REFUSED) lists everything that is wrong with its shape."""
    content = _load(path)
    reader = _Reader()
    if not isinstance(content, dict) or not content:
        raise InventoryError(
            _("The inventory lists no hosts."), detail=str(path), hint=_("Start from inventories/example.")
        )
    for name, body in content.items():
        reader.group(str(name), body)
    # A group may be listed under `all` and filled elsewhere: look again, now that all members are known.
    for name, body in content.items():
        reader.group(str(name), body)
    sites = {
        name.removeprefix(_SITE): tuple(hosts)
        for name, hosts in reader.members.items()
        if name.startswith(_SITE) and name != _SITE
    }
    inventory = Inventory(path, sites, {name: tuple(hosts) for name, hosts in reader.members.items()})
    problems = dict.fromkeys(reader.problems + _judge(inventory, reader.site_of))
    if problems:
        raise InventoryError(
            _("The inventory cannot be used."),
            detail="\n".join(f"{path}: {problem}" for problem in problems),
            hint=_("Compare it with inventories/example/inventory/hosts.yml."),
        )
    return inventory


def _judge(inventory: Inventory, site_of: dict[str, str]) -> list[str]:
    problems: list[str] = []
    if len(inventory.sites) < 2:
        found = ", ".join(inventory.sites) or "-"
        problems.append(_("two groups site_NAME are needed, found: {found}").format(found=found))
    owner: dict[str, str] = {}
    for site, hosts in inventory.sites.items():
        for host in hosts:
            if host in owner:
                problems.append(
                    _("host '{host}' is in two sites: {one}, {two}").format(host=host, one=owner[host], two=site)
                )
            owner[host] = site
        if not inventory.hosts(site, "database"):
            problems.append(_("site '{site}' has no host in group database").format(site=site))
    for host, named in site_of.items():
        if named not in inventory.sites:
            problems.append(_("host '{host}' names an unknown site: {site}").format(host=host, site=named))
        elif owner.get(host, named) != named:
            text = _("host '{host}' is in group site_{one}, but its variable says {two}")
            problems.append(text.format(host=host, one=owner[host], two=named))
    return problems
