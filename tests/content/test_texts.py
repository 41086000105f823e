"""Whatever can reach a user by an id has its words: a guard's sentences or a report's title, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lpse_dr import i18n
from lpse_dr.cli.wording import guard_texts
from lpse_dr.plugins.module_utils.lpse_dr_guards.texts import GUARDS, REPORTS, report

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = re.compile(r"(?<![\w.\])])[a-z]+\.[a-z_]+(?![\w.])")
NOUNS = {identity.split(".")[0] for identity in (*GUARDS, *REPORTS)}


def said_in_yaml() -> Iterator[str]:
    """Yield every id that stands behind `guard_id` or `id` in roles and playbooks."""
    for folder in ("roles", "playbooks"):
        for path in (ROOT / folder).rglob("*.yml"):
            for line in path.read_text().splitlines():
                for words in re.findall(r"\b(?:guard_)?id'?\s*[:=]\s*(.*)", line):
                    yield from (found for found in IDENTITY.findall(words) if found.split(".")[0] in NOUNS)


def said_in_python() -> Iterator[str]:
    """Yield every id with which a verb, a conductor or an action raises or returns an error."""
    for path in (ROOT / "lpse_dr" / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).lower().endswith("error"):
                values = node.args[:1]
            elif isinstance(node, ast.Dict):
                keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
                values = [value for key, value in zip(keys, node.values, strict=True) if key == "id"]
            for value in values:
                if isinstance(value, ast.Constant) and IDENTITY.fullmatch(str(value.value)):
                    yield str(value.value)


SAID = sorted({*said_in_yaml(), *said_in_python()})


def test_the_search_finds_what_it_should() -> None:
    wanted = {"database.peer_down", "host.lost", "host.unreachable", "replication.behind", "replication.cannot", "run.failed", "dns.not_expired",
              "traffic.manual_open", "operation.superseded", "database.sql_failed", "database.start_failed", "verb.bug", "journal.unwritable"}  # fmt: skip
    assert wanted <= set(SAID)


def test_every_id_has_its_words() -> None:
    assert not set(SAID) - {*GUARDS, *REPORTS}


def test_no_words_are_kept_for_an_id_that_is_gone() -> None:
    assert not set(REPORTS) - set(SAID)


def test_an_id_means_one_thing() -> None:
    # A guard's sentences are filled from its data, a report's are not: one id cannot be both.
    assert not set(GUARDS) & set(REPORTS)


@pytest.mark.parametrize("identity", REPORTS)
def test_a_report_is_told_in_both_languages(identity: str) -> None:
    said = {"id": identity, "expected": "slot x to be free", "found": "y", "todo": "lpse-dr status", "data": {}}
    try:
        i18n.use("id")
        title, expected, found, todo = guard_texts(said)
        assert title != REPORTS[identity].title, "python -m tests.unit.i18n.messages, then translate"
        assert all((expected, found, todo))
        # What has free values is not lost behind its title.
        assert REPORTS[identity].expected or (title in expected and "slot x to be free" in expected)
        i18n.use("en")
        assert guard_texts(said) == report(identity, said)
        assert REPORTS[identity].expected or guard_texts(said)[1] == "slot x to be free"
    finally:
        i18n.use(i18n.DEFAULT)


def test_known_words_of_a_report_are_translated() -> None:
    i18n.use("id")
    said = {
        "id": "database.started",
        "expected": "read-only",
        "found": "stopped, not fenced",
        "todo": "lpse-dr status",
    }
    assert guard_texts(said)[2] == "berhenti, tidak terkunci"
