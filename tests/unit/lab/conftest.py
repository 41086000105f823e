"""Sentences are compared in English here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lpse_dr import i18n


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Speak English for one test."""
    i18n.use("en")
    yield
    i18n.use(i18n.DEFAULT)
