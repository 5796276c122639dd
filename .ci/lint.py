"""Check every file that a tool can check. Each check is one line of output; all of them run, then the verdict."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BACKEND = ROOT / "backend"
BIN = BACKEND / ".venv" / "bin"
FILE_LINES, FUNCTION_LINES = 350, 60


def tracked(*patterns: str) -> list[str]:
    """The repository's files that match, those not committed yet as well."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return sorted(
        name for name in set(listed) if (ROOT / name).is_file() and not (ROOT / name).is_symlink()
    )


def tool(name: str, *arguments: str, folder: Path = ROOT) -> str:
    """Run a tool; its words when it finds something, else nothing."""
    path = f"{BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        [BIN / name, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    return (
        ""
        if done.returncode == 0
        else (done.stdout + done.stderr).strip() or f"exit {done.returncode}"
    )


def links() -> str:
    """Relative links in Markdown lead to files, and their anchors to headings."""
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
    """No file over 350 lines, no function over 60, but in tests."""
    import ast  # noqa: PLC0415

    wrong = []
    for name in tracked("*.py"):
        text = (ROOT / name).read_text()
        lines = len(text.splitlines())
        if "/tests/" in f"/{name}":
            continue
        if lines > FILE_LINES:
            wrong.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LINES:
                    wrong.append(f"{name}:{node.lineno}: {node.name} has {length} lines")
    return "\n".join(wrong)


def manifests() -> str:
    """Each overlay of deploy/kubernetes builds, and what it makes is valid Kubernetes."""
    return tool("python", str(ROOT / ".ci" / "manifests.py"))


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
    "shellcheck": lambda: tool("shellcheck", *tracked("*.sh", ".ci/run", ".ci/engine")),
    "hadolint": lambda: tool("hadolint", "--config", ".hadolint.yaml", *tracked("*Dockerfile*")),
    "compose": lambda: tool(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        *tracked("docker-compose*.yml"),
    ),
    "workflows": lambda: tool(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *tracked(".github/workflows/*.yml"),
    ),
    "zizmor": lambda: tool("zizmor", "--offline", "--quiet", ".github/workflows"),
    "kubernetes": manifests,
    "cli reference": lambda: tool("python", str(ROOT / ".ci" / "reference.py"), "--check"),
    "links": links,
    "budgets": budgets,
}


def main() -> int:
    """Run all checks; 0 when none finds anything."""
    failed = 0
    for name, check in CHECKS.items():
        words = check()
        failed += bool(words)
        sys.stdout.write(
            f"lint  {name:<14} {'FAILED' if words else 'ok'}\n" + (f"{words}\n" if words else "")
        )
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
