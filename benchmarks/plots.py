"""Draw the figures of `live_traffic.py`, and write its table into the documentation.

python benchmarks/plots.py FOLDER PAGE
"""

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
    report: dict[str, Any], figure: str, label: str, path: Path, *, bound: float | None = None
) -> None:
    """Draw a figure of each change as bars, side by side, on a logarithmic axis.

    Parameters:
        report: of `live_traffic.py`.
        figure: its key in the results.
        label: of the axis.
        path: of the picture.
        bound: a limit to draw as a line.
    """
    changes = list(dict.fromkeys(result["change"] for result in report["results"]))
    number_format = "{:,.0f}" if figure.endswith("_ms") else "{:.1f}"
    _, axes = plt.subplots(figsize=(9, 0.45 * len(changes) + 1.2), layout="constrained")
    for shift, (tool, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        results = [result for result in report["results"] if result["tool"] == tool]
        values = {result["change"]: result[figure] for result in results}
        places = [number + shift for number in range(len(changes))]
        widths = [values[change] for change in changes]
        bars = axes.barh(places, widths, height=0.38, color=colour, label=tool)
        axes.bar_label(bars, fmt=number_format, padding=3, fontsize=8)
    if bound is not None:
        axes.axvline(bound, color="black", linestyle="--", linewidth=1, label=f"bound: {bound:g}")
    axes.set(yticks=range(len(changes)), yticklabels=changes, xlabel=label, xscale="log")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.08), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    plt.savefig(path, metadata={"Date": None})
    plt.close()


def table(report: dict[str, Any]) -> str:
    """Return the results as a table in Markdown."""
    titles = (
        "change",
        "tool",
        "longest wait, ms",
        "99.9 %, ms",
        "failed queries",
        "prepared again",
        "traffic lost, s",
        "duration, s",
    )
    lines = [f"{report['about']}.", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for result in report["results"]:
        cells = (
            f"`{result['change']}`",
            result["tool"],
            f"{result['longest_ms']:.0f}",
            f"{result['p999_ms']:.0f}",
            str(result["failed"]),
            str(result["prepared_again"]),
            f"{result['lost_s']:.2f}",
            f"{result['seconds']:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", whole_tables(report)]) + "\n"


def whole_tables(report: dict[str, Any]) -> str:
    """Compare the durations of the changes that write each row."""
    seconds = {
        (result["change"], result["tool"]): result["seconds"] for result in report["results"]
    }
    ratios = []
    for name in report["whole_tables"]:
        ratio = seconds[name, "liftlock"] / seconds[name, "alembic"]
        ratios.append(f"`{name}` {ratio:.1f}")
    return (
        "Duration with liftlock, times that with Alembic, of the changes that write each row:"
        f" {', '.join(ratios)}."
    )


def main() -> None:
    """Draw the pictures and write the table."""
    folder = Path(sys.argv[1])
    page = Path(sys.argv[2])
    mpl.rcParams["svg.hashsalt"] = "liftlock"  # equal figures make equal files
    report = json.loads((folder / "live-traffic.json").read_text())
    longest = folder / "longest-wait.svg"
    draw(
        report,
        "longest_ms",
        "longest wait of any query, ms",
        longest,
        bound=report["bound_ms"],
    )
    draw(report, "seconds", "duration, s", folder / "duration.svg")
    text = page.read_text()
    page.write_text(TABLE.sub(lambda _: table(report), text))


if __name__ == "__main__":
    main()
