"""Draw docs/explanation/architecture.svg; with --check, only compare.

The layers come from the import contract in backend/pyproject.toml, the path of an operation from
the table in docs/explanation/architecture.md.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PICTURE = PAGE.with_suffix(".svg")
WIDTH, ROW, LEFT, BOX = 980, 64, 16, 200
STEP_WIDTH = 56
PURE = frozenset({"planning", "model", "sql"})
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b1f24 }
.name { font-weight: 600 } .note { fill: #57606a; font-size: 12px }
.layer { fill: #eef4fb; stroke: #9db7d5 } .pure { fill: #eef8ef; stroke: #9bc7a0 }
.path { fill: none; stroke: #b3541e; stroke-width: 1.5 }
.step { fill: #fff4ec; stroke: #b3541e } .number { font-weight: 600; text-anchor: middle }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9aa4af } .layer { fill: #152235; stroke: #3d5a80 }
  .pure { fill: #14261a; stroke: #3f6b47 } .step { fill: #2d1c12 }
}
"""


@dataclass(frozen=True)
class Call:
    """A call on the path of an operation: its number, its name, and the folder that it is in."""

    number: int
    name: str
    folder: str


def folders() -> list[str]:
    """Return the folders of the engine, from the highest layer to the lowest."""
    settings = tomllib.loads((ROOT / "backend" / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    names = [layer.removeprefix("liftlock.") for layer in layers]
    source = ROOT / "backend" / "engine" / "src" / "liftlock"
    return [name for name in names if (source / name).is_dir()]


def calls() -> list[Call]:
    """Return the path of an operation; a call without a file is in that of its class."""
    found = []
    files: dict[str, str] = {}
    pattern = r"^\| (\d+) \| `([\w.]+)` \| (?:`([\w/.]+)`)? ?\|"
    for number, name, file in re.findall(pattern, PAGE.read_text(), re.MULTILINE):
        owner = name.partition(".")[0]
        files.setdefault(owner, file)
        found.append(Call(int(number), name, files[owner].partition("/")[0]))
    return found


def notes() -> dict[str, str]:
    """Return what each folder contains, from the page."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|$", PAGE.read_text(), re.MULTILINE))


def drawing() -> str:
    """Return the picture as SVG."""
    names, path, contains = folders(), calls(), notes()
    height = ROW * len(names) + 2 * LEFT
    svg = ET.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", role="img"
    )
    ET.SubElement(svg, "title").text = "The folders of liftlock, and the path of op.add_column"
    ET.SubElement(svg, "style").text = STYLE
    for index, name in enumerate(names):
        draw_folder(svg, index, name, contains[name])
    points = [place(call, names) for call in path]
    line = " ".join(f"{x},{y}" for x, y in points)
    ET.SubElement(svg, "polyline", {"class": "path", "points": line})
    for call, (x, y) in zip(path, points, strict=True):
        draw_call(svg, call, x, y)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def place(call: Call, names: list[str]) -> tuple[int, int]:
    """Return the centre of a call: its column by its number, its row by its folder."""
    x = LEFT + BOX + 40 + (call.number - 1) * STEP_WIDTH
    return x, LEFT + names.index(call.folder) * ROW + 42


def draw_folder(svg: ET.Element, index: int, name: str, contains: str) -> None:
    """Draw the row of a folder."""
    top = LEFT + index * ROW
    shape = {
        "class": "pure" if name in PURE else "layer",
        "x": str(LEFT),
        "y": str(top),
        "width": str(WIDTH - 2 * LEFT),
        "height": str(ROW - 8),
        "rx": "6",
    }
    ET.SubElement(svg, "rect", shape)
    label(svg, "name", LEFT + 12, top + 20, name)
    label(svg, "note", LEFT + 110, top + 20, contains)


def draw_call(svg: ET.Element, call: Call, x: int, y: int) -> None:
    """Draw the number of a call; its name shows when one points at it."""
    group = ET.SubElement(svg, "g")
    ET.SubElement(group, "title").text = f"{call.number}. {call.name}"
    ET.SubElement(group, "circle", {"class": "step", "cx": str(x), "cy": str(y), "r": "11"})
    label(group, "number", x, y + 4, str(call.number))


def label(parent: ET.Element, kind: str, x: int, y: int, text: str) -> None:
    """Write a text."""
    ET.SubElement(parent, "text", {"class": kind, "x": str(x), "y": str(y)}).text = text


def main() -> int:
    """Write the picture, or compare it."""
    text = drawing()
    if "--check" in sys.argv:
        return int(not PICTURE.exists() or PICTURE.read_text() != text)
    PICTURE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
