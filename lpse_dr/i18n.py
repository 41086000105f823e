"""Messages in the reader's language: Indonesian unless asked otherwise.

Code writes English and marks it with ``_`` (or ``N_`` where the text is kept and translated later).
The catalogues are compiled by the build hook; where one is missing the English text stands, and a
test says so. Guards are translated by their id, because their texts are made on hosts.
"""

from __future__ import annotations

import gettext as _gettext
import os
from pathlib import Path

LANGUAGES = ("id", "en")
DEFAULT = "id"
_DOMAIN = "lpse_dr"
LOCALE_FOLDER = Path(__file__).resolve().parent / "locale"


class _State:
    """The one language of this process; the command line sets it before the first text is shown."""

    language = DEFAULT
    catalogue: _gettext.NullTranslations | None = None


def choose(option: str | None, office_language: str | None = None) -> str:
    """Return the language: the option, else an English or Indonesian locale, else the office's, else id."""
    if option in LANGUAGES:
        return str(option)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            code = value.split("_")[0].split(".")[0].lower()
            if code in LANGUAGES:
                return code
            break
    return office_language if office_language in LANGUAGES else DEFAULT


def use(language: str) -> None:
    """Translate into this language from now on."""
    _State.language = language if language in LANGUAGES else DEFAULT
    _State.catalogue = None


def language() -> str:
    """Return the language in use."""
    return _State.language


def _catalogue() -> _gettext.NullTranslations:
    if _State.catalogue is None:
        _State.catalogue = _gettext.translation(
            _DOMAIN, localedir=str(LOCALE_FOLDER), languages=[_State.language], fallback=True
        )
    return _State.catalogue


def _(message: str) -> str:
    """Translate one message; the empty string stays empty (gettext would return its header)."""
    return _catalogue().gettext(message) if message else ""


def N_(message: str) -> str:  # noqa: N802 # the name that every gettext tool looks for
    """Mark a message for the catalogue without translating it here."""
    return message


def pgettext(context: str, message: str) -> str:
    """Translate one message within a context, e.g. a guard's id."""
    return _catalogue().pgettext(context, message) if message else ""
