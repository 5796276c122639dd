"""Write the pages of docs/reference that are generated; with --check, only compare."""

from __future__ import annotations

import sys
from pathlib import Path

import reference_commands
import reference_errors
import reference_formats
import reference_rules
import reference_settings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Return the texts of all generated pages, by their paths in the folder."""
    return {
        "cli.md": reference_commands.page(),
        "errors.md": reference_errors.page(),
        "formats.md": reference_formats.page(),
        "settings.md": reference_settings.page(),
        **reference_rules.pages(),
    }


def main() -> int:
    """Write the pages, or return 1 if they differ from the files."""
    texts = pages()
    rule_files = {f"rules/{path.name}" for path in (FOLDER / "rules").glob("*")}
    stale = rule_files - set(texts)
    if "--check" in sys.argv:
        differing = [name for name, text in texts.items() if _read(FOLDER / name) != text]
        return int(bool(stale or differing))
    (FOLDER / "rules").mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
    return 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
