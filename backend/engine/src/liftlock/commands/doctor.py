"""The troubleshooting page as a command: looks at all that usually goes wrong, and changes nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from liftlock.errors import LiftlockError
from liftlock.model.diagnosis import Diagnosis
from liftlock.postgres.probe import probe
from liftlock.postgres.session import connect, query
from liftlock.postgres.standing import compare
from liftlock.revisions.build import address_of
from liftlock.revisions.project import duplicates, load, missing_parents, revision_files, scan
from liftlock.settings import Address, Settings

_OLDEST = 130000
_CLOCK_SECONDS = 5
_SCRIPTS = ("docker-entrypoint.sh", "run-migrations.sh")


def doctor(settings: Settings) -> list[Diagnosis]:
    """Look at the settings, the files and the database.

    Parameters:
        settings: the environment's.

    Returns:
        What was seen, with a remedy where something is wrong.
    """
    return [
        *_variables(settings),
        *_scripts(Path(settings.config).parent),
        *_project(settings),
        *_database(settings),
    ]


def failed(error: LiftlockError, topic: str) -> Diagnosis:
    """An error as a finding."""
    return Diagnosis(topic, f"{error.code}: {error.what}", error.now)


def _variables(settings: Settings) -> Iterator[Diagnosis]:
    for name, source in sorted(settings.sources.items()):
        yield Diagnosis("setting", f"{name} is set (from: {source})")
    if settings.address is not None:
        yield Diagnosis("setting", f"together they mean {settings.address!r}")


def _scripts(folder: Path) -> Iterator[Diagnosis]:
    for path in (folder / name for name in _SCRIPTS):
        if not path.exists():
            continue
        text = path.read_bytes()
        if b"\r\n" in text:
            yield Diagnosis(
                "script",
                f"{path} has Windows line endings",
                f"Convert it: sed -i 's/\\r$//' {path}; and add `*.sh text eol=lf` to .gitattributes.",
            )
        elif not os.access(path, os.X_OK):
            yield Diagnosis(
                "script",
                f"{path} isn't executable",
                f"chmod +x {path}; in git: git update-index --chmod=+x {path}",
            )
        else:
            yield Diagnosis("script", f"{path} is executable and has Unix line endings")


def _project(settings: Settings) -> Iterator[Diagnosis]:
    try:
        project = load(settings.config)
        project.head("head")
    except LiftlockError as error:
        yield failed(error, "revisions")
        yield from _files(Path(settings.config), error)
        return
    heads = ", ".join(sorted(project.chain.heads)) or "none"
    yield Diagnosis(
        "revisions",
        f"{len(project.chain.revisions)} revisions in {project.script.dir}, head {heads}",
    )


def _files(config: Path, first: LiftlockError) -> Iterator[Diagnosis]:
    """Further faults in the revision files, besides the one that stopped loading."""
    with contextlib.suppress(LiftlockError):
        files = revision_files(str(config))
        sources = scan(files)
        faults: Iterable[LiftlockError] = [*duplicates(sources), *missing_parents(sources)]
        yield from (failed(fault, "revisions") for fault in faults if fault.what != first.what)
        for path in files:
            try:
                compile(path.read_bytes(), str(path), "exec")
            except (SyntaxError, ValueError) as error:
                place = f"{path}:{getattr(error, 'lineno', None) or 1}"
                if place not in first.what:
                    yield Diagnosis("revisions", f"{place}: {error}", "Correct that line.")


def _database(settings: Settings) -> Iterator[Diagnosis]:
    try:
        address = address_of(settings)
    except LiftlockError as error:
        yield failed(error, "database")
        return
    yield from _pg_isready(address)
    verdict = probe(address)
    if verdict is not None:
        yield Diagnosis("database", verdict.text, verdict.error().now)
        return
    yield Diagnosis("database", f"{address!r} can be used")
    with contextlib.closing(connect(address, "doctor")) as session:
        facts = query(session, "server_facts")[0]
        yield from _server(facts)
        for row in query(session, "not_owned"):
            remedy = f"Connect as {row['owner']}, or GRANT {row['owner']} TO {facts['role']}."
            yield Diagnosis(
                "permissions",
                f"table {row['name']} belongs to {row['owner']}; {facts['role']} can't alter it",
                remedy,
            )
        with contextlib.suppress(LiftlockError):
            from liftlock.revisions.build import build_of

            found = compare(session, build_of(settings))
            yield Diagnosis(
                "schema", found.describe(), "" if found.satisfied else "Run `liftlock upgrade`."
            )


def _pg_isready(address: Address) -> Iterator[Diagnosis]:
    tool = shutil.which("pg_isready")
    if tool is None:
        return
    arguments = [tool, "--host", address.host, "--port", address.port, "--timeout", "3"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    remedy = (
        ""
        if done.returncode == 0
        else "Start the database, or correct POSTGRES_SERVER and POSTGRES_PORT."
    )
    yield Diagnosis("pg_isready", (done.stdout or done.stderr).strip(), remedy)


def _server(facts: dict[str, object]) -> Iterator[Diagnosis]:
    version, number = facts["version"], facts["version_num"]
    old = isinstance(number, int) and number < _OLDEST
    yield Diagnosis(
        "server",
        f"PostgreSQL {version}",
        "Upgrade the server: 13 is the oldest that liftlock knows." if old else "",
    )
    clock = facts["clock"]
    assert isinstance(clock, dt.datetime)
    apart = abs((dt.datetime.now(dt.UTC) - clock).total_seconds())
    remedy = "Set both clocks by NTP; times in the ledger and tokens of the service depend on them."
    yield Diagnosis(
        "clock", f"{apart:.1f} s apart from the server's", remedy if apart > _CLOCK_SECONDS else ""
    )
    for right, text in (
        ("may_create_schema", "create the schema `liftlock` in this database"),
        ("may_create_table", f"create tables in {facts['schema']}"),
    ):
        grant = (
            f"GRANT CREATE ON DATABASE {facts['dbname']} TO {facts['role']};"
            if right == "may_create_schema"
            else f"GRANT CREATE ON SCHEMA {facts['schema']} TO {facts['role']};"
        )
        allowed = bool(facts[right])
        yield Diagnosis(
            "permissions",
            f"{facts['role']} {'may' if allowed else 'may not'} {text}",
            "" if allowed else grant,
        )
