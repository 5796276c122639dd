"""Doctor: look for the usual causes of trouble, without changing anything."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from liftlock.errors import LiftlockError
from liftlock.postgres.probe import probe
from liftlock.postgres.session import Session, connect, query
from liftlock.postgres.standing import compare
from liftlock.revisions.build import address_of, build_of
from liftlock.revisions.project import duplicates, load, missing_parents, revision_files, scan
from liftlock.settings import Address, Settings

_OLDEST_SERVER = 130000
_CLOCK_SECONDS = 5
_SCRIPTS = ("docker-entrypoint.sh", "run-migrations.sh")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One observation.

    Parameters:
        topic: the object of the observation, such as ``setting`` or ``clock``.
        text: the observation.
        remedy: what to do; empty when nothing is wrong.
    """

    topic: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.remedy

    def as_dict(self) -> dict[str, object]:
        """Return the diagnosis for programs."""
        return {**asdict(self), "ok": self.ok}


def doctor(settings: Settings) -> list[Diagnosis]:
    """Look at the settings, the files and the database, and return the observations.

    Parameters:
        settings: the settings.
    """
    return [
        *_variables(settings),
        *_scripts(Path(settings.config).parent),
        *_project(settings),
        *_database(settings),
    ]


def failed(error: LiftlockError, topic: str) -> Diagnosis:
    """Return an error as a diagnosis."""
    return Diagnosis(topic, f"{error.code}: {error.what}", error.now)


def _variables(settings: Settings) -> Iterator[Diagnosis]:
    for name, source in sorted(settings.sources.items()):
        yield Diagnosis("setting", f"{name} is set (from: {source})")
    if settings.address is not None:
        yield Diagnosis("setting", f"together they mean {settings.address!r}")


def _scripts(folder: Path) -> Iterator[Diagnosis]:
    for path in (folder / name for name in _SCRIPTS):
        if path.exists():
            yield _script(path)


def _script(path: Path) -> Diagnosis:
    if b"\r\n" in path.read_bytes():
        remedy = (
            f"Convert it: sed -i 's/\\r$//' {path}; and add `*.sh text eol=lf` to .gitattributes."
        )
        return Diagnosis("script", f"{path} has Windows line endings", remedy)
    if not os.access(path, os.X_OK):
        remedy = f"chmod +x {path}; in git: git update-index --chmod=+x {path}"
        return Diagnosis("script", f"{path} isn't executable", remedy)
    return Diagnosis("script", f"{path} is executable and has Unix line endings")


def _project(settings: Settings) -> Iterator[Diagnosis]:
    try:
        project = load(settings.config)
        project.head("head")
    except LiftlockError as error:
        yield failed(error, "revisions")
        yield from _further_faults(Path(settings.config), error)
        return
    count = len(project.chain.revisions)
    heads = ", ".join(sorted(project.chain.heads)) or "none"
    yield Diagnosis("revisions", f"{count} revisions in {project.script.dir}, head {heads}")


def _further_faults(config: Path, first: LiftlockError) -> Iterator[Diagnosis]:
    """Yield faults of the revision files besides the one that stopped loading."""
    with contextlib.suppress(LiftlockError):
        files = revision_files(str(config))
        sources = scan(files)
        for fault in (*duplicates(sources), *missing_parents(sources)):
            if fault.what != first.what:
                yield failed(fault, "revisions")
        for path in files:
            yield from _syntax_error(path, first)


def _syntax_error(path: Path, first: LiftlockError) -> Iterator[Diagnosis]:
    try:
        compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        place = f"{path}:{line}"
        if place not in first.what:
            yield Diagnosis("revisions", f"{place}: {error}", "Correct that line.")


def _database(settings: Settings) -> Iterator[Diagnosis]:
    try:
        address = address_of(settings)
    except LiftlockError as error:
        yield failed(error, "database")
        return
    yield from _pg_isready(address)
    problem = probe(address)
    if problem is not None:
        yield Diagnosis("database", problem.text, problem.error().now)
        return
    yield Diagnosis("database", f"{address!r} can be used")
    with contextlib.closing(connect(address, "doctor")) as session:
        facts = query(session, "server_facts")[0]
        yield from _server(facts)
        yield from _not_owned(session, facts)
        yield from _schema(session, settings)


def _pg_isready(address: Address) -> Iterator[Diagnosis]:
    program = shutil.which("pg_isready")
    if program is None:
        return
    command = [program, "--host", address.host, "--port", address.port, "--timeout", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    remedy = ""
    if done.returncode != 0:
        remedy = "Start the database, or correct POSTGRES_SERVER and POSTGRES_PORT."
    yield Diagnosis("pg_isready", (done.stdout or done.stderr).strip(), remedy)


def _server(facts: Mapping[str, Any]) -> Iterator[Diagnosis]:
    remedy = ""
    if facts["version_num"] < _OLDEST_SERVER:
        remedy = "Upgrade the server: 13 is the oldest version that liftlock supports."
    yield Diagnosis("server", f"PostgreSQL {facts['version']}", remedy)
    yield _clock(facts["clock"])
    role = facts["role"]
    database = f"GRANT CREATE ON DATABASE {facts['dbname']} TO {role};"
    text = "create the schema `liftlock` in this database"
    yield _right(role, text, allowed=facts["may_create_schema"], grant=database)
    schema = f"GRANT CREATE ON SCHEMA {facts['schema']} TO {role};"
    text = f"create tables in {facts['schema']}"
    yield _right(role, text, allowed=facts["may_create_table"], grant=schema)


def _clock(clock: dt.datetime) -> Diagnosis:
    seconds = abs((dt.datetime.now(dt.UTC) - clock).total_seconds())
    remedy = ""
    if seconds > _CLOCK_SECONDS:
        remedy = "Set both clocks by NTP: times in the ledger and tokens of the service need it."
    return Diagnosis("clock", f"{seconds:.1f} s apart from the server's", remedy)


def _right(role: str, text: str, *, allowed: bool, grant: str) -> Diagnosis:
    if allowed:
        return Diagnosis("permissions", f"{role} may {text}")
    return Diagnosis("permissions", f"{role} may not {text}", grant)


def _not_owned(session: Session, facts: Mapping[str, Any]) -> Iterator[Diagnosis]:
    role = facts["role"]
    for row in query(session, "not_owned"):
        owner = row["owner"]
        text = f"table {row['name']} belongs to {owner}; {role} can't alter it"
        remedy = f"Connect as {owner}, or GRANT {owner} TO {role}."
        yield Diagnosis("permissions", text, remedy)


def _schema(session: Session, settings: Settings) -> Iterator[Diagnosis]:
    with contextlib.suppress(LiftlockError):
        status = compare(session, build_of(settings))
        remedy = "" if status.satisfied else "Run `liftlock upgrade`."
        yield Diagnosis("schema", status.describe(), remedy)
