"""Every command that changes something names the command that takes it back; every operation has its playbook."""

from __future__ import annotations

import pytest

from lpse_dr.cli.grammar import BARE, Noun, Verb, load_noun, noun_names
from lpse_dr.content import content_root

COMMANDS = [(noun, verb) for noun in map(load_noun, noun_names()) for verb in noun.verbs]
CHANGING = [(noun, verb) for noun, verb in COMMANDS if verb.changes]
OPERATIONS = [(noun, verb) for noun, verb in COMMANDS if verb.operation is not None]


def _words(noun: Noun, verb: Verb) -> str:
    return f"{noun.name} {verb.name}".strip()


def test_there_are_commands_that_change_something() -> None:
    assert {"switchover", "lab up", "lab down"} <= {_words(noun, verb) for noun, verb in CHANGING}


@pytest.mark.parametrize(("noun", "verb"), CHANGING, ids=lambda item: item.name)
def test_inverse_is_a_command(noun: Noun, verb: Verb) -> None:
    assert verb.inverse, f"{_words(noun, verb)} names no inverse"
    name, _, rest = verb.inverse.partition(" ")
    assert name in noun_names()
    assert load_noun(name).verb(rest) is not None or load_noun(name).verb(BARE) is not None


@pytest.mark.parametrize(("noun", "verb"), OPERATIONS, ids=lambda item: item.name)
def test_id_is_what_is_typed(noun: Noun, verb: Verb) -> None:
    assert verb.operation is not None
    if verb.name:
        assert verb.operation.id == f"{noun.name}.{verb.name}".replace("-", "_")
    else:
        assert verb.operation.id == noun.name


@pytest.mark.parametrize("noun", [noun for noun in map(load_noun, noun_names()) if noun.verb(BARE) is None])
def test_nouns_of_operations_can_be_looked_at(noun: Noun) -> None:
    if any(verb.operation for verb in noun.verbs):
        # What there are several of is listed.
        assert noun.verb("status") or noun.verb("list"), f"{noun.name} has no status"


@pytest.mark.parametrize(("noun", "verb"), OPERATIONS, ids=lambda item: item.name)
def test_operation_has_its_playbook(noun: Noun, verb: Verb) -> None:
    assert verb.operation is not None
    assert verb.operation.playbook(content_root()).is_file()


def test_every_playbook_is_an_operation() -> None:
    known = {verb.operation.playbook(content_root()).name for _, verb in OPERATIONS if verb.operation}
    assert {path.name for path in (content_root() / "playbooks").glob("*.yml")} <= known
