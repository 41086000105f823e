"""Both catalogues say everything, and with the same placeholders."""

from __future__ import annotations

import re

import pytest

from lpse_dr import i18n

from .messages import po_path, read, template


@pytest.fixture(autouse=True)
def _restore_language() -> object:
    yield
    i18n.use(i18n.DEFAULT)


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_catalogue_is_complete(language: str) -> None:
    known = {(message.context, message.id): message for message in read(language) if message.id}
    wanted = {(message.context, message.id) for message in template() if message.id}
    cure = "python -m tests.unit.i18n.messages"
    assert not wanted - known.keys(), cure
    assert not known.keys() - wanted, cure
    for message in known.values():
        assert message.string, f"{language}: no translation of {message.id!r}"
        assert not message.fuzzy, f"{language}: {message.id!r} is fuzzy"


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_placeholders_are_equal(language: str) -> None:
    for message in read(language):
        if message.id:
            placeholders = [sorted(re.findall(r"\{[^}]*\}", str(text))) for text in (message.id, message.string)]
            assert placeholders[0] == placeholders[1], message.id


def test_commands_survive_translation() -> None:
    for message in read("id"):
        for command in re.findall(r"lpse-dr(?: [a-z-]+)*(?: --[a-z-]+)*", str(message.id)):
            # The words after a command may be prose; its first two words are the command.
            assert " ".join(command.split()[:2]) in str(message.string), message.id


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_catalogue_is_compiled(language: str) -> None:
    compiled = po_path(language).with_suffix(".mo")
    assert compiled.exists(), "python -m tests.unit.i18n.messages, or install the package again"


def test_language_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert i18n.choose(None) == "id"
    assert i18n.choose(None, "en") == "en"
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert i18n.choose(None) == "id"
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    assert i18n.choose(None) == "en"
    assert i18n.choose("id") == "id"
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    assert i18n.choose(None, "en") == "id"


def test_texts_are_translated() -> None:
    i18n.use("id")
    assert i18n._("REFUSED") == "DITOLAK"
    i18n.use("en")
    assert i18n._("REFUSED") == "REFUSED"
    assert i18n._("") == ""
