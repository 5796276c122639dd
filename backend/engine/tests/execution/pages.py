"""Tables of the documentation, for tests that compare them with the code."""

from __future__ import annotations

from pathlib import Path

TRANSACTIONS = Path(__file__).parents[4] / "docs" / "explanation" / "transactions.md"


def table(page: Path, first_heading: str) -> list[dict[str, str]]:
    """Return the rows of the table whose first column has this heading, by the headings.

    Parameters:
        page: a Markdown file.
        first_heading: the heading of the table's first column.
    """
    rows: list[list[str]] = []
    for line in page.read_text().splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if rows or cells[0] == first_heading:
                rows.append(cells)
        elif rows:
            break
    headings, _rule, *body = rows
    return [dict(zip(headings, cells, strict=True)) for cells in body]
