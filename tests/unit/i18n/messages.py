"""Every message of the program, found in its source, and the tool that brings the catalogues up to date.

``python -m tests.unit.i18n.messages`` adds new messages to the .po files (untranslated, so that the
test fails until a person has written them), drops unused ones and compiles the .mo files.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from lpse_dr.i18n import LANGUAGES, LOCALE_FOLDER
from lpse_dr.plugins.module_utils.lpse_dr_guards import texts

PACKAGE = LOCALE_FOLDER.parent
_HEADER = "# Messages of lpse-dr. GPL-3.0-or-later, like the program."
# One date for ever: a catalogue changes when a message changes.
_DATE = datetime(2026, 1, 1, tzinfo=UTC)
# Code that runs on hosts speaks by id; its sentences are taken from the guards' table.
_SKIPPED = {"plugins", "locale", "content", "image"}


def po_path(language: str) -> Path:
    """Return a catalogue's source."""
    return LOCALE_FOLDER / language / "LC_MESSAGES" / "lpse_dr.po"


def marked(source: str) -> Iterator[str]:
    """Yield every text that is marked for translation, also those inside f-strings."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_")):
            continue
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def template() -> Catalog:
    """Return all messages: those marked in the source, and the guards' by their ids."""
    catalogue = Catalog(project="lpse-dr", charset="utf-8", creation_date=_DATE)
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        if not _SKIPPED.intersection(name.parts):
            for message in marked(path.read_text(encoding="utf-8")):
                catalogue.add(message, locations=[(f"lpse_dr/{name}", 0)])
    # The demo is a screen of the program too.
    for message in marked((PACKAGE.parent / "script" / "demo.py").read_text(encoding="utf-8")):
        catalogue.add(message, locations=[("script/demo.py", 0)])
    source = "lpse_dr/plugins/module_utils/lpse_dr_guards/texts.py"
    for guard_id, text in {**texts.GUARDS, **texts.REPORTS}.items():
        for sentence in filter(None, text):
            catalogue.add(sentence, locations=[(source, 0)], context=guard_id)
    for sentence in (texts.NO_READING, texts.NO_READING_TODO):
        catalogue.add(sentence, locations=[(source, 0)], context="guard")
    for word in texts.WORDS:
        catalogue.add(word, locations=[(source, 0)], context="guard.word")
    return catalogue


def read(language: str) -> Catalog:
    """Return a catalogue as it is kept."""
    with po_path(language).open("rb") as stream:
        return read_po(stream, locale=language, abort_invalid=True)


def update(language: str) -> int:
    """Bring one catalogue up to date and compile it. Return how many messages have no translation."""
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = read(language) if path.exists() else Catalog(locale=language, project="lpse-dr", charset="utf-8")
    catalogue.update(template(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    catalogue.header_comment = _HEADER
    catalogue.revision_date = _DATE
    catalogue.last_translator = catalogue.language_team = "lpse-dr"
    catalogue.msgid_bugs_address = "lpse-dr"
    for message in catalogue:
        if language == "en" and message.id:
            message.string = message.id
    with path.open("wb") as stream:
        write_po(stream, catalogue, width=110, omit_header=False, include_lineno=False, sort_output=True)
    with path.with_suffix(".mo").open("wb") as stream:
        write_mo(stream, catalogue)
    return sum(1 for message in catalogue if message.id and not message.string)


if __name__ == "__main__":
    for name in LANGUAGES:
        sys.stdout.write(f"{name}: {update(name)} without a translation\n")
