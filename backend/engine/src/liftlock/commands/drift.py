"""Compare a live database with its history and with the models."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from liftlock.errors import SettingsError
from liftlock.events import Event, Notify
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.revisions.build import address_of
from liftlock.revisions.project import load
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import shadow_at
from liftlock.shadow.runner import ShadowRunner


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Parameters:
        kind: ``extra`` (the database has it, its history doesn't), ``missing``, ``models`` or ``half-made``.
        what: the definition, or what the models want.
    """

    kind: str
    what: str

    def as_dict(self) -> dict[str, str]:
        """The difference for programs."""
        return asdict(self)


def drift(
    settings: Settings,
    *,
    server: Address | None = None,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[Difference]:
    """Compare the database with what its revisions make on a shadow, and with the models; it is only read.

    Parameters:
        settings: the environment's.
        server: where the shadow is made; the embedded server by default. Servers of two majors write some definitions otherwise.
        interrupts: stops it.
        notify: is told what happens.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.

    Raises:
        SettingsError: the database is at a revision that no file has.
        LiftlockError: there is no server for the shadow, or the revisions don't run there.
    """
    project = load(settings.config, x_arguments)
    address = address_of(settings)
    trials = ShadowRunner(project, settings, interrupts)
    heads = trials.applied_heads(address).after
    with contextlib.closing(connect(address, "drift")) as session:
        version = session.info.server_version // 10000
        half = list(_half_made(query(session, "half_made", CATALOG)))
    unknown = sorted(heads - set(project.chain.revisions))
    if unknown:
        raise SettingsError(
            "LL-UNKNOWN-REVISION",
            f"The database is at {', '.join(unknown)}, which no file has.",
            why="So its history is unknown.",
            now="Use the build that belongs to this database.",
        )
    ordered = [one.revision for one in project.script.iterate_revisions("heads", "base")][::-1]
    there = [one for one in ordered if one in project.chain.ancestors(heads)]
    with shadow_at(trials, there, notify, server) as shadow:
        if int(shadow.version.split(".")[0]) != version:
            text = (
                f"the database is of PostgreSQL {version}, and is compared with {shadow.version}, which may write the same otherwise:"
                f" give a server of its major by --shadow-url"
            )
            notify(Event("drift.majors", text, {"database": version, "shadow": shadow.version}))
        wanted = trials.objects(shadow.base)
    found = trials.objects(address)
    wants = (
        trials.model_differences(address, read_only=True) if heads == project.chain.heads else []
    )
    return [*_compared(wanted, found), *(Difference("models", one) for one in wants), *half]


def _compared(wanted: Sequence[str], found: Sequence[str]) -> Iterator[Difference]:
    """By definition: what stands in one and not in the other."""
    expected, actual = Counter(_definitions(wanted)), Counter(_definitions(found))
    yield from (Difference("missing", one) for one in (expected - actual).elements())
    yield from (Difference("extra", one) for one in (actual - expected).elements())


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


def _half_made(rows: Sequence[dict[str, Any]]) -> Iterator[Difference]:
    yield from (Difference("half-made", row["what"]) for row in rows)
