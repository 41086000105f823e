"""The office: the organisation whose service is kept alive, and its folder of configuration.

An office is never assumed. It is named by ``--office``, ``$LPSE_DR_OFFICE`` or lies in
``/etc/lpse-dr``; the lab is reached only by ``--lab``. ``office.yml`` has a closed schema: a key
that nobody reads is a limit that somebody believes in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .closed_yaml import Keys, Problems, count, read, text
from .errors import OfficeError
from .i18n import LANGUAGES, _

SYSTEM_OFFICE = Path("/etc/lpse-dr")
SYSTEM_STATE = Path("/var/lib/lpse-dr")
DEFAULT_LAB = "demo"
_LAB_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True)
class Limits:
    """What the office demands. Guards compare readings with these."""

    lag_bytes: int = 16 * 1024 * 1024
    lag_seconds: int = 30
    clock_skew_seconds: int = 1
    drain_seconds: int = 5
    long_transaction_seconds: int = 30
    disk_free_bytes: int = 512 * 1024 * 1024
    files_sync_age_seconds: int = 600
    failover_age_seconds: int = 3600
    rto_seconds: int = 14400
    rpo_seconds: int = 0
    mtd_seconds: int = 86400


@dataclass(frozen=True)
class Office:
    """One office. `folder` holds office.yml; `state` is where its journals and runs are kept."""

    folder: Path
    state: Path
    name: str
    letterhead: tuple[str, ...] = ()
    time_zone: str = "Asia/Makassar"
    language: str = "id"
    limits: Limits = field(default_factory=Limits)
    mirror: str | None = None
    vault_password_file: Path | None = None
    lab: str | None = None

    @property
    def heading(self) -> str:
        """First line of every screen: nobody may mistake the lab for the office, nor the reverse."""
        return f"LAB {self.lab}" if self.lab else self.name

    @property
    def inventory(self) -> Path:
        """The file that lists the hosts."""
        return self.folder / "inventory" / "hosts.yml"


def _usable(folder: Path) -> bool:
    """Create the folder where that is permitted; tell whether files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def state_folder(say: Callable[[str], None] | None = None) -> Path:
    """Return STATE: /var/lib/lpse-dr, else $XDG_STATE_HOME/lpse-dr, else ~/.local/state/lpse-dr.

    `say` hears one sentence when it is not the first: a record that lies elsewhere than people
    expect is a record that they do not find.
    """
    if _usable(SYSTEM_STATE):
        return SYSTEM_STATE
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = Path(base) / "lpse-dr"
    if not _usable(folder):
        raise OfficeError(
            _("No folder for the records can be written."),
            detail=f"{SYSTEM_STATE}, {folder}",
            hint=_("Make one of them writable for this user."),
        )
    if say:
        notice = _("Records are kept in {folder}, because {first} cannot be written.")
        say(notice.format(folder=folder, first=SYSTEM_STATE))
    return folder


def lab_folder(name: str = DEFAULT_LAB) -> Path:
    """Return STATE/lab/NAME of a lab that exists or will exist. A name that could leave it is refused."""
    if not name or len(name) > 20 or not set(name) <= _LAB_NAME_CHARACTERS or name.startswith("-"):
        raise OfficeError(
            _("'{name}' cannot be the name of a lab.").format(name=name),
            hint=_("Use up to 20 lower-case letters, digits and hyphens."),
        )
    return state_folder() / "lab" / name


def find_office(
    office: str | None = None, lab: str | None = None, say: Callable[[str], None] | None = None
) -> Office:
    """Find and read the office that the command means; OfficeError (exit 2) says how to name one."""
    if office and lab:
        raise OfficeError(_("--office and --lab exclude each other."), hint=_("Name one of them."))
    if lab:
        folder = lab_folder(lab) / "office"
        if not (folder / "office.yml").is_file():
            raise OfficeError(_("The lab '{name}' is not up.").format(name=lab), hint=f"lpse-dr lab up --name {lab}")
        return load_office(folder, lab=lab)
    named = office or os.environ.get("LPSE_DR_OFFICE")
    folder = Path(named).expanduser() if named else SYSTEM_OFFICE
    if (folder / "office.yml").is_file():
        return load_office(folder, say=say)
    if named:
        raise OfficeError(
            _("There is no office in {folder}: office.yml is missing.").format(folder=folder),
            detail=_("missing: {path}").format(path=folder / "office.yml"),
            hint=_("Start from inventories/example."),
        )
    raise OfficeError(
        _("No office was named."),
        detail=_("Looked for: --office DIR, $LPSE_DR_OFFICE, {folder}.").format(folder=SYSTEM_OFFICE),
        hint=_("Name the office with --office DIR, or use the lab with --lab."),
    )


# --- office.yml -------------------------------------------------------------------------------


def _lines(value: Any) -> str | None:
    good = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return None if good else _("a list of lines is needed")


def _zone(value: Any) -> str | None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, TypeError, OSError):
        return _("a time zone such as Asia/Makassar is needed")
    return None


def _language(value: Any) -> str | None:
    return None if value in LANGUAGES else _("id or en is needed")


_SCHEMA = Keys(
    {
        "name": text,
        "letterhead": _lines,
        "time_zone": _zone,
        "language": _language,
        "limits": Keys({item.name: count for item in fields(Limits)}),
        "state_folder": text,
        "mirror": text,
        "vault_password_file": text,
    },
    required=("name",),
)


def load_office(folder: Path, *, lab: str | None = None, say: Callable[[str], None] | None = None) -> Office:
    """Read OFFICE/office.yml. OfficeError lists every mistake with file and line."""
    folder = folder.resolve()
    problems = Problems()
    values = read(folder / "office.yml", _SCHEMA, problems)
    if problems:
        detail = "\n".join(problems.found)
        raise OfficeError(_("office.yml cannot be used."), detail=detail, hint=_("Correct these lines."))
    return _build(folder, values, lab, say)


def _build(folder: Path, values: dict[str, Any], lab: str | None, say: Callable[[str], None] | None) -> Office:
    def under(name: str) -> Path | None:
        value = values.get(name)
        return (folder / Path(value).expanduser()).resolve() if value else None

    state = under("state_folder") or (folder.parent / "state" if lab else state_folder(say))
    if not _usable(state):
        raise OfficeError(
            _("The folder for the records, {folder}, cannot be written.").format(folder=state),
            hint=_("Make it writable for this user, or change state_folder in office.yml."),
        )
    return Office(
        folder=folder,
        state=state,
        name=values["name"],
        letterhead=tuple(values.get("letterhead", ())),
        time_zone=values.get("time_zone", "Asia/Makassar"),
        language=values.get("language", "id"),
        limits=Limits(**values.get("limits", {})),
        mirror=values.get("mirror"),
        vault_password_file=under("vault_password_file"),
        lab=lab,
    )
