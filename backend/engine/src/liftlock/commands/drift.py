"""Drift: compare a database with the schema of its revisions, and with the models."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from liftlock.events import Event, Notify
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.postgres.standing import unknown_revision
from liftlock.revisions.build import address_of
from liftlock.revisions.project import Project, load
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import shadow_at
from liftlock.shadow.runner import ShadowRunner


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Parameters:
        kind: ``extra`` (only in the database), ``missing`` (only in the revisions), ``models``
            or ``half-made`` (an invalid index, or a constraint that is NOT VALID).
        what: the definition; for ``models`` the operation that autogenerate would write.
    """

    kind: str
    what: str

    def as_dict(self) -> dict[str, str]:
        """Return the difference for programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Server:
    """Facts about the live database: the major version, and objects that are half-made."""

    major: int
    half_made: list[Difference]


def drift(
    settings: Settings,
    *,
    server: Address | None = None,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[Difference]:
    """Compare a database with a shadow on which its revisions have run, and with the models.

    The database is only read.

    Parameters:
        settings: the settings.
        server: server of the shadow; the embedded server by default. It should have the same
            major version, because others may write some definitions differently.
        interrupts: signals that stop it.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Raises:
        SettingsError: the database is at a revision that no file has.
        LiftlockError: there is no server for the shadow, or a revision fails there.
    """
    project = load(settings.config, x_arguments)
    address = address_of(settings)
    runner = ShadowRunner(project, settings, interrupts)
    heads = runner.applied_heads(address).after
    live = _server(address)
    unknown = heads - set(project.chain.revisions)
    if unknown:
        raise unknown_revision(unknown, project.chain.heads)
    with shadow_at(runner, _applied(project, heads), notify, server) as shadow:
        _warn_of_other_major(live.major, shadow.version, notify)
        expected = runner.objects(shadow.base)
    actual = runner.objects(address)
    at_head = heads == project.chain.heads
    models = runner.model_differences(address, read_only=True) if at_head else []
    return [
        *compare_objects(expected, actual),
        *(Difference("models", operation) for operation in models),
        *live.half_made,
    ]


def _server(address: Address) -> _Server:
    with contextlib.closing(connect(address, "drift")) as session:
        rows: list[dict[str, Any]] = query(session, "half_made", CATALOG)
        half_made = [Difference("half-made", row["what"]) for row in rows]
        return _Server(session.info.server_version // 10000, half_made)


def _applied(project: Project, heads: frozenset[str]) -> list[str]:
    """Return the revisions that a database has, in the order in which they ran."""
    newest_first = [script.revision for script in project.script.iterate_revisions("heads", "base")]
    applied = project.chain.ancestors(heads)
    return [revision for revision in reversed(newest_first) if revision in applied]


def _warn_of_other_major(major: int, shadow: str, notify: Notify) -> None:
    """Warn when the shadow's server has another major version than the database's.

    Parameters:
        major: version of the database's server.
        shadow: version of the shadow's server.
        notify: is called with the warning.
    """
    if int(shadow.partition(".")[0]) == major:
        return
    text = (
        f"the database runs on PostgreSQL {major} and is compared with a shadow on {shadow}, which"
        " may write the same definition differently: name a server of its major by --shadow-url"
    )
    notify(Event("drift.majors", text, {"database": major, "shadow": shadow}))


def compare_objects(expected: Iterable[str], actual: Iterable[str]) -> Iterator[Difference]:
    """Compare the objects of two databases definition by definition."""
    wanted = Counter(_definitions(expected))
    present = Counter(_definitions(actual))
    yield from (Difference("missing", text) for text in (wanted - present).elements())
    yield from (Difference("extra", text) for text in (present - wanted).elements())


def _definitions(objects: Iterable[str]) -> Iterator[str]:
    """Yield the definitions of objects; a table has one for each line of its CREATE TABLE."""
    for definition in objects:
        text = definition.rstrip(";")
        if text.startswith("CREATE TABLE"):
            table, *others = text.split(";\n")
            yield from _lines_of_table(table)
            yield from others
        else:
            yield text


def _lines_of_table(table: str) -> Iterator[str]:
    head, *lines = table.splitlines()
    head = head.rstrip(" (")
    yield head
    for line in lines:
        if line.strip() not in {"", ")"}:
            yield f"{head.removeprefix('CREATE ')}: {line.strip()}"
