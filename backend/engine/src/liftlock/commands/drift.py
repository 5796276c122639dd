"""Compare a live database with its history and with the models."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from liftlock.events import Event, Notify
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.postgres.standing import unknown_revision
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
    heads = trials.standing(address).after
    with contextlib.closing(connect(address, "drift")) as session:
        version = session.info.server_version // 10000
        half = list(_half_made(query(session, "half_made", CATALOG)))
    unknown = heads - set(project.chain.revisions)
    if unknown:
        raise unknown_revision(unknown, project.chain.heads)
    ordered = [one.revision for one in project.script.iterate_revisions("heads", "base")][::-1]
    there = [one for one in ordered if one in project.chain.ancestors(heads)]
    with shadow_at(trials, there, notify, server) as shadow:
        if int(shadow.version.split(".")[0]) != version:
            text = (
                f"the database is of PostgreSQL {version}, and is compared with {shadow.version}, which may write the same otherwise:"
                f" give a server of its major by --shadow-url"
            )
            notify(Event("drift.majors", text, {"database": version, "shadow": shadow.version}))
        wanted = trials.dump(shadow.base)
    found = trials.dump(address)
    wants = trials.models(address, read_only=True) if heads == project.chain.heads else []
    return [*_compared(wanted, found), *(Difference("models", one) for one in wants), *half]


def _compared(wanted: str, found: str) -> Iterator[Difference]:
    """By definition: what stands in one and not in the other."""
    expected, actual = Counter(_definitions(wanted)), Counter(_definitions(found))
    yield from (Difference("missing", one) for one in (expected - actual).elements())
    yield from (Difference("extra", one) for one in (actual - expected).elements())


def _definitions(text: str) -> Iterator[str]:
    """Each statement of a dump; a table's are one for each of its lines."""
    for statement in text.split(";\n"):
        head, *lines = statement.splitlines() or [""]
        if not head.startswith("CREATE TABLE"):
            yield "\n".join([head, *lines]).rstrip(";")
            continue
        yield head.rstrip(" (")
        yield from (
            f"{head.rstrip(' (').removeprefix('CREATE ')}: {line.strip()}"
            for line in lines
            if line.strip() not in {"", ")"}
        )


def _half_made(rows: Sequence[dict[str, Any]]) -> Iterator[Difference]:
    yield from (Difference("half-made", row["what"]) for row in rows)
