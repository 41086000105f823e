"""Compile the message catalogues: at the making of a wheel or an editable install, and from script/setup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a program, outside a build
    BuildHookInterface = object


def compile_catalogues(root: Path) -> None:
    """Turn every .po below lpse_dr/locale into the .mo that gettext reads; a broken one is an error."""
    for source in (root / "lpse_dr" / "locale").glob("*/LC_MESSAGES/*.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        with source.open("rb") as stream:
            catalogue = read_po(stream, locale=source.parent.parent.name, abort_invalid=True)
        with target.open("wb") as stream:
            write_mo(stream, catalogue)


class CatalogueHook(BuildHookInterface):  # type: ignore[misc] # hatchling ships no types for its hooks
    """Called by hatchling before it collects files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile below the root of the build."""
        compile_catalogues(Path(self.root))


if __name__ == "__main__":
    compile_catalogues(Path(__file__).resolve().parent.parent)
