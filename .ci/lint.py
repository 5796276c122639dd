"""Check every file that a tool can check: all checks, or those that are named as arguments.

Each check is one line of output. All of them run before the verdict.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BACKEND = ROOT / "backend"
BIN = BACKEND / ".venv" / "bin"
PATH = f"{BIN}:{os.environ['PATH']}"
FORMS = ".github/ISSUE_TEMPLATE"
FILE_LINES = 400
COMPREHENSION_LOOPS = 2
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FRAGMENT = re.compile(r"(?:\d+|\+[\w-]+)\.(?:added|changed|fixed|removed|security)(?:\.\d+)?\.md")


def tracked(*patterns: str) -> list[str]:
    """Return the repository's files that match, with those that aren't committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return sorted(
        name for name in set(listed) if (ROOT / name).is_file() and not (ROOT / name).is_symlink()
    )


def tool(name: str, *arguments: str, folder: Path = ROOT) -> str:
    """Run a tool; return its output when it finds something, else nothing."""
    program = shutil.which(name, path=PATH)
    if program is None:
        return f"{name} isn't installed"
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH},
    )
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip() or f"exit {done.returncode}"


def script(name: str, *arguments: str) -> str:
    """Run a script of this folder, as a tool."""
    return tool("python", str(ROOT / ".ci" / name), *arguments)


def schema(name: str, *patterns: str) -> str:
    """Compare files with a schema that check-jsonschema ships."""
    return tool("check-jsonschema", "--builtin-schema", f"vendor.{name}", *tracked(*patterns))


def links() -> str:
    """Find relative links in Markdown that lead to no file, or whose anchor names no heading."""
    wrong = []
    for name in tracked("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / name).read_text()):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (ROOT / name).parent / path if path else ROOT / name
            if not file.exists():
                wrong.append(f"{name}: {target} leads nowhere")
            elif anchor and anchor not in _anchors(file):
                wrong.append(f"{name}: {target} names no heading")
    return "\n".join(wrong)


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def budgets() -> str:
    """Find files over 400 lines, and comprehensions with more than two `for`; tests left out."""
    wrong = []
    for name in tracked("*.py"):
        if "/tests/" in f"/{name}":
            continue
        text = (ROOT / name).read_text()
        lines = len(text.splitlines())
        if lines > FILE_LINES:
            wrong.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            loops = sum(isinstance(part, ast.comprehension) for part in ast.walk(node))
            if isinstance(node, COMPREHENSIONS) and loops > COMPREHENSION_LOOPS:
                wrong.append(f"{name}:{node.lineno}: a comprehension has {loops} loops")
    return "\n".join(wrong)


def changelog() -> str:
    """Find fragments that towncrier would leave out, or that aren't one line."""
    wrong = []
    for name in tracked("changes/*"):
        path = ROOT / name
        if path.name in {"README.md", ".gitignore"}:
            continue
        if not FRAGMENT.fullmatch(path.name):
            wrong.append(f"{name}: the name isn't NUMBER.TYPE.md or +WORD.TYPE.md")
        if len(path.read_text().splitlines()) != 1:
            wrong.append(f"{name}: a fragment is one line")
    return "\n".join(wrong)


CHECKS = {
    "ruff": lambda: tool(
        "ruff", "check", "--quiet", ".", "../.ci", "../benchmarks", folder=BACKEND
    ),
    "format": lambda: tool(
        "ruff", "format", "--quiet", "--check", ".", "../.ci", "../benchmarks", folder=BACKEND
    ),
    "mypy": lambda: tool("mypy", folder=BACKEND),
    "imports": lambda: tool("lint-imports", "--no-cache", folder=BACKEND),
    "deptry": lambda: (
        tool("deptry", "recaller", "migrations", folder=BACKEND)
        or tool("deptry", "src", folder=BACKEND / "engine")
    ),
    "shellcheck": lambda: tool(
        "shellcheck", *tracked("*.sh", ".ci/run", ".ci/engine", ".ci/wheel")
    ),
    "hadolint": lambda: tool("hadolint", "--config", ".hadolint.yaml", *tracked("*Dockerfile*")),
    "compose": lambda: schema("compose-spec", "docker-compose*.yml"),
    "workflows": lambda: schema("github-workflows", ".github/workflows/*.yml"),
    "issue forms": lambda: (
        schema("github-issue-forms", *(f"{FORMS}/{name}.yml" for name in ("bug", "feature")))
        or schema("github-issue-config", f"{FORMS}/config.yml")
    ),
    "dependabot": lambda: schema("dependabot", ".github/dependabot.yml"),
    "zizmor": lambda: tool("zizmor", "--offline", "--quiet", ".github"),
    "actionlint": lambda: tool("actionlint"),
    "codespell": lambda: tool("codespell", *tracked()),
    "prose": lambda: script("prose.py"),
    "changelog": changelog,
    "kubernetes": lambda: script("manifests.py"),
    "cli reference": lambda: script("reference.py", "--check"),
    "diagram": lambda: script("diagram.py", "--check"),
    "links": links,
    "budgets": budgets,
}
OPTIONAL = {"actionlint"}
"""Checks whose tool has no wheel: they run where the tool is on the path."""


def main(names: list[str]) -> int:
    """Run the checks that are named, else all; return 0 when none finds anything."""
    failed = 0
    for name in names or CHECKS:
        if name in OPTIONAL and shutil.which(name, path=PATH) is None:
            sys.stdout.write(f"lint  {name:<14} skipped: not installed\n")
            continue
        words = CHECKS[name]()
        failed += bool(words)
        sys.stdout.write(
            f"lint  {name:<14} {'FAILED' if words else 'ok'}\n" + (f"{words}\n" if words else "")
        )
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
