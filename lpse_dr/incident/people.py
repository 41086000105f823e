"""Who may do what: ``OFFICE/people.yml``, with a closed schema."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..closed_yaml import Each, Entry, Keys, Problems, nearest, one_of, read, text, texts
from ..errors import OfficeError, UsageError
from ..i18n import _
from ..sop import Role


class PeopleError(OfficeError):
    """people.yml cannot be used."""

    error_id = "people"


@dataclass(frozen=True)
class Person:
    """One member. `user` is the login on the jump hosts, `jabatan` the office held, as printed under letters."""

    user: str
    name: str
    role: Role
    jabatan: str = ""
    phone: str = ""
    ssh_key: str = ""


@dataclass(frozen=True)
class People:
    """Everybody; `deputies` act for the Koordinator, in this order, where those before them cannot be reached."""

    members: tuple[Person, ...] = ()
    deputies: tuple[Person, ...] = ()

    @property
    def koordinator(self) -> Person | None:
        """The Koordinator; None only where there is no people.yml."""
        return next((person for person in self.members if person.role is Role.KOORDINATOR), None)

    def by_login(self, user: str) -> Person | None:
        """Return the member with this login."""
        return next((person for person in self.members if person.user == user), None)

    def named(self, word: str) -> Person | None:
        """Return the member with this login or name; case and spaces do not matter."""
        wanted = _plain(word)
        return next((item for item in self.members if wanted in (_plain(item.user), _plain(item.name))), None)

    def require(self, word: str) -> Person:
        """Return the member with this login or name; UsageError names the nearest."""
        found = self.named(word)
        if found is not None:
            return found
        names = {_plain(name): person for person in self.members for name in (person.name, person.user)}
        near = difflib.get_close_matches(_plain(word), names, n=1, cutoff=0.5)
        raise UsageError(
            _("'{name}' is not in people.yml.").format(name=word),
            detail=_("known: {names}").format(names=", ".join(person.name for person in self.members) or "-"),
            hint=_("Did you mean '{near}'?").format(near=names[near[0]].name) if near else _("Name one of them."),
        )

    def authority(self) -> tuple[Person, ...]:
        """Return who may decide, in order: the Koordinator, then the deputies."""
        first = self.koordinator
        return (*((first,) if first else ()), *self.deputies)


def _plain(word: str) -> str:
    return " ".join(word.lower().split())


def _login(value: Any) -> str | None:
    good = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}", value)
    return None if good else _("a login such as budi is needed")


def _public_key(value: Any) -> str | None:
    good = isinstance(value, str) and re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n\r]*)?", value)
    return None if good else _("a public SSH key (ssh-ed25519 AAAA...) is needed")


_PERSON = Keys(
    {
        "user": _login,
        "name": text,
        "role": one_of(*(role.value for role in Role)),
        "jabatan": text,
        "deputies": texts,
        "phone": text,
        "ssh_key": _public_key,
    },
    required=("user", "name", "role"),
)
_PEOPLE = Keys({"people": Each(_PERSON)}, required=("people",))


def load_people(office: Path) -> People:
    """Read OFFICE/people.yml. Where there is none nobody is known; PeopleError lists every mistake with its line."""
    path = office / "people.yml"
    if not path.exists():
        return People()
    problems = Problems()
    entries: list[Entry] = read(path, _PEOPLE, problems).get("people", [])
    whole = [entry for entry in entries if all(key in entry for key in ("user", "name", "role"))]
    members = tuple(
        Person(
            entry["user"], entry["name"], Role(entry["role"]),
            entry.get("jabatan", ""), entry.get("phone", ""), entry.get("ssh_key", ""),
        )
        for entry in whole
    )  # fmt: skip
    seen: set[str] = set()
    for entry in whole:
        for key in ("user", "name"):
            if _plain(entry[key]) in seen:
                problems.add(path, entry.line_of(key), _("'{key}' stands twice").format(key=entry[key]))
        seen |= {_plain(entry["user"]), _plain(entry["name"])}
    deputies = _deputies(path, whole, members, problems)
    if problems:
        detail = "\n".join(problems.found)
        raise PeopleError(_("people.yml cannot be used."), detail=detail, hint=_("Correct these lines."))
    return People(members, deputies)


def _deputies(
    path: Path, entries: list[Entry], members: tuple[Person, ...], problems: Problems
) -> tuple[Person, ...]:
    logins = {person.user: person for person in members}
    heads = [entry for entry in entries if entry["role"] == Role.KOORDINATOR.value]
    if len(heads) != 1 and not problems:
        problem = _("exactly one koordinator is needed; those who act in the absence are deputies")
        problems.add(path, heads[1].line_of("role") if heads else 1, problem)
    found: list[Person] = []
    for entry in entries:
        for login in entry.get("deputies", []):
            if entry not in heads:
                problems.add(path, entry.line_of("deputies"), _("only the koordinator has deputies"))
            elif login not in logins:
                problem = _("'{key}': there is no '{word}'").format(key="deputies", word=login)
                problems.add(path, entry.line_of("deputies"), problem + nearest(login, logins))
            elif login == entry["user"] or logins[login] in found:
                problems.add(path, entry.line_of("deputies"), _("'{key}' stands twice").format(key=login))
            else:
                found.append(logins[login])
    return tuple(found)
