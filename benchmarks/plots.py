"""Draws what `live_traffic.py` measured, and writes its table, into the documentation: plots.py FOLDER PAGE."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

COLOURS = {"alembic": "#c44e52", "liftlock": "#4c72b0"}
TABLE = re.compile(r"(?<=<!-- live-traffic -->\n).*?(?=<!-- end -->)", re.DOTALL)


def draw(
    found: dict[str, Any], figure: str, label: str, path: Path, *, bound: float | None = None
) -> None:
    """Bars of one figure for each change, side by side, on a logarithmic axis."""
    changes = list(dict.fromkeys(one["change"] for one in found["results"]))
    _, axes = plt.subplots(figsize=(9, 0.45 * len(changes) + 1.2), layout="constrained")
    for shift, (tool, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        values = {one["change"]: one[figure] for one in found["results"] if one["tool"] == tool}
        places = [number + shift for number in range(len(changes))]
        bars = axes.barh(
            places, [values[change] for change in changes], height=0.38, color=colour, label=tool
        )
        axes.bar_label(
            bars, fmt="{:,.0f}" if figure.endswith("_ms") else "{:.1f}", padding=3, fontsize=8
        )
    if bound is not None:
        axes.axvline(bound, color="black", linestyle="--", linewidth=1, label=f"bound: {bound:g}")
    axes.set(yticks=range(len(changes)), yticklabels=changes, xlabel=label, xscale="log")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    plt.savefig(path, metadata={"Date": None})
    plt.close()


def table(found: dict[str, Any]) -> str:
    """The same as Markdown."""
    lines = [
        f"{found['about']}.",
        "",
        "| change | tool | longest wait, ms | 99.9 %, ms | failed queries | prepared again | traffic lost, s | duration, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found["results"]:
        figures = f"{one['longest_ms']:.0f} | {one['p999_ms']:.0f} | {one['failed']} | {one['prepared_again']} | {one['lost_s']:.2f}"
        lines.append(f"| `{one['change']}` | {one['tool']} | {figures} | {one['seconds']:.2f} |")
    return "\n".join([*lines, "", whole_tables(found)]) + "\n"


def whole_tables(found: dict[str, Any]) -> str:
    """How many times the blocking form's time the changes of whole tables take."""
    seconds = {(one["change"], one["tool"]): one["seconds"] for one in found["results"]}
    times = [
        f"`{name}` {seconds[name, 'liftlock'] / seconds[name, 'alembic']:.1f}"
        for name in found["whole_tables"]
    ]
    return f"Duration with liftlock, times that with Alembic, of the changes that write each row: {', '.join(times)}."


def main() -> None:
    """Draw and write."""
    folder, page = Path(sys.argv[1]), Path(sys.argv[2])
    mpl.rcParams["svg.hashsalt"] = "liftlock"  # the same figures give the same file
    found = json.loads((folder / "live-traffic.json").read_text())
    draw(
        found,
        "longest_ms",
        "longest wait of any query, ms",
        folder / "longest-wait.svg",
        bound=found["bound_ms"],
    )
    draw(found, "seconds", "duration, s", folder / "duration.svg")
    text = page.read_text()
    page.write_text(TABLE.sub(lambda _: table(found), text))


if __name__ == "__main__":
    main()
