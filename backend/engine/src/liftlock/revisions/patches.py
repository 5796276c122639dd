"""Everything that liftlock replaces in Alembic and SQLAlchemy, and nothing else does.

``PATCHES`` lists each name with the reason. A test checks that the names exist in the oldest and in
the newest supported versions. Every replacement ends with its context manager, except attributes of
a migration context, which ends with the run itself.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

from alembic.ddl.impl import DefaultImpl
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from sqlalchemy.engine import Connection, Transaction
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.pool.base import _ConnectionFairy
from sqlalchemy.sql.compiler import IdentifierPreparer

_INTERNAL_MODULES = ("sqlalchemy.", "alembic.", "liftlock.")
"""Modules that use a driver's connection for themselves, and not for a revision."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Names of Alembic or SQLAlchemy that liftlock replaces, assigns or reads.

    Parameters:
        owner: the class.
        names: attributes of the class, or of its instances.
        reason: why public interfaces don't do.
        versions: the versions that have the names.
    """

    owner: type
    names: tuple[str, ...]
    reason: str
    versions: str = "Alembic 1.8 to 1.20"


PATCHES = (
    Patch(
        EnvironmentContext,
        ("configure",),
        "env.py calls it with its options; the run of its migration context is taken over then.",
    ),
    Patch(
        MigrationContext,
        ("run_migrations", "autocommit_block"),
        "liftlock runs the revisions; an autocommit block has to write the ledger before it"
        " commits.",
    ),
    Patch(
        MigrationContext,
        ("_migrations_fn", "_ensure_version_table"),
        "the command's choice of revisions, and the version table, as Alembic's own run uses them.",
    ),
    Patch(
        MigrationContext,
        ("_in_external_transaction", "_transaction_per_migration", "_transaction"),
        "Alembic samples once whether a transaction is open; a statement of env.py before"
        " configure() begins one, and Alembic would then commit nothing.",
    ),
    Patch(
        DefaultImpl,
        ("_exec", "create_table", "drop_table", "connection", "memo"),
        "op.*, batch operations and plug-in operations all arrive here, decomposed and named; no"
        " event of Alembic's tells them.",
    ),
    Patch(
        Connection,
        ("begin", "begin_twophase", "_autobegin"),
        "no event tells a transaction that env.py began from one that SQLAlchemy began.",
        "SQLAlchemy 1.4.27 to 2.1",
    ),
    Patch(
        _ConnectionFairy,
        ("cursor", "driver_connection", "dbapi_connection", "connection"),
        "no event tells that a revision takes the driver's own connection or cursor. Of these"
        " names, those that the installed version has are replaced.",
        "SQLAlchemy 1.4.27 to 2.1",
    ),
    Patch(
        Script,
        ("_versioned_down_revisions", "_resolved_dependencies"),
        "the parents as tuples of revision identifiers; the public attributes have them as the"
        " file writes them: one string or several, and branch labels.",
    ),
    Patch(
        ScriptDirectory,
        ("_version_locations",),
        "the folders of the revision files; the public attribute is empty where alembic.ini names"
        " none, and isn't resolved where it names packages.",
    ),
    Patch(
        IdentifierPreparer,
        ("_double_percents",),
        "no public attribute tells whether compiled SQL has each percent sign twice, as drivers"
        " need it that take %s for a parameter.",
        "SQLAlchemy 1.4.27 to 2.1",
    ),
)

Record = Callable[..., Any]
"""Takes a construct and Alembic's further arguments of ``impl._exec``."""


@contextlib.contextmanager
def on_configure(attach: Callable[[EnvironmentContext], None]) -> Iterator[None]:
    """Call a function after each ``context.configure()`` of an ``env.py``."""
    configure = EnvironmentContext.configure

    @functools.wraps(configure)
    def configure_and_attach(environment: EnvironmentContext, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Alembic's signature
        configure(environment, *args, **kwargs)
        attach(environment)

    with _replaced(EnvironmentContext, configure=configure_and_attach):
        yield


def run_migrations_by(context: MigrationContext, run: Callable[..., None]) -> None:
    """Let a function run the migrations of a context; it gets the arguments of ``upgrade()``."""
    vars(context)["run_migrations"] = functools.partial(run, context)


@contextlib.contextmanager
def choose_migrations_by(
    context: MigrationContext, choose: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Wrap the function of a context that chooses the revisions to be run."""
    with _replaced(context, _migrations_fn=choose(vars(context)["_migrations_fn"])):
        yield


@contextlib.contextmanager
def observe_operations(
    context: MigrationContext, observe: Callable[[Record], Record]
) -> Iterator[None]:
    """Wrap the function of a context's implementation that sends operations."""
    with _replaced(context.impl, _exec=observe(context.impl._exec)):  # noqa: SLF001 - PATCHES
        yield


@contextlib.contextmanager
def record_operations(
    context: MigrationContext, record: Record, recorded_table: Callable[[], None]
) -> Iterator[Record]:
    """Record the operations of a context instead of sending them.

    While a table is created or dropped, the implementation has a stand-in for its connection, so
    that the DDL of the table's types is recorded in its order.

    Parameters:
        context: the migration context.
        record: is called with each operation.
        recorded_table: is called when all operations of a table are recorded.

    Returns:
        Alembic's own function, which sends an operation.
    """
    impl = context.impl
    send = impl._exec  # noqa: SLF001 - PATCHES

    def with_stand_in(method: Callable[..., None]) -> Callable[..., None]:
        def call(table: object, **options: object) -> None:
            stand_in = MockConnection(context.dialect, lambda construct, *_: record(construct))
            with _replaced(impl, connection=stand_in):
                method(table, **options)
            recorded_table()

        return call

    replacements = {
        "_exec": record,
        "create_table": with_stand_in(impl.create_table),
        "drop_table": with_stand_in(impl.drop_table),
    }
    with _replaced(impl, **replacements):
        yield send


def creates_or_drops_table(context: MigrationContext) -> bool:
    """Return whether a table is being created or dropped, with a stand-in for the connection."""
    return isinstance(context.impl.connection, MockConnection)


@contextlib.contextmanager
def replace_autocommit_block(
    context: MigrationContext, block: Callable[[], contextlib.AbstractContextManager[None]]
) -> Iterator[None]:
    """Replace ``op.get_context().autocommit_block()``."""
    with _replaced(context, autocommit_block=block):
        yield


def use_transaction_per_revision(context: MigrationContext) -> None:
    """Have a context begin and commit a transaction for each revision.

    It wouldn't if it found an open transaction when it was created.
    """
    context._in_external_transaction = False  # noqa: SLF001 - PATCHES
    context._transaction_per_migration = True  # noqa: SLF001 - PATCHES


def has_transaction(context: MigrationContext) -> bool:
    """Return whether a context is within its own ``begin_transaction()``."""
    return context._transaction is not None  # noqa: SLF001 - PATCHES


def adopt_transaction(context: MigrationContext, connection: Connection) -> None:
    """Have a context commit the transaction that is open now: its own one has ended."""
    transaction = connection.get_transaction() or connection.begin()
    context._transaction = transaction  # noqa: SLF001 - PATCHES


_explicit: WeakSet[Transaction] = WeakSet()
"""Transactions that neither SQLAlchemy nor Alembic began for themselves."""


def is_explicit(transaction: Transaction | None) -> bool:
    """Return whether ``env.py`` began a transaction by ``connection.begin()``."""
    return transaction is not None and transaction in _explicit


@contextlib.contextmanager
def track_explicit_transactions() -> Iterator[None]:
    """Track which transactions ``env.py`` begins, for ``is_explicit``."""
    autobegin = Connection._autobegin  # noqa: SLF001 - PATCHES

    def tracking(begin: Callable[..., Transaction]) -> Callable[..., Transaction]:
        @functools.wraps(begin)
        def tracked(connection: Connection, *args: object, **kwargs: object) -> Transaction:
            transaction = begin(connection, *args, **kwargs)
            if not _calling_module().startswith("alembic."):
                _explicit.add(transaction)
            return transaction

        return tracked

    def untracked_autobegin(connection: Connection) -> None:
        autobegin(connection)
        transaction = connection.get_transaction()
        if transaction is not None:
            _explicit.discard(transaction)

    with _replaced(
        Connection,
        begin=tracking(Connection.begin),
        begin_twophase=tracking(Connection.begin_twophase),
        _autobegin=untracked_autobegin,
    ):
        yield


def _calling_module() -> str:
    """Return the module that called SQLAlchemy, where one ``begin`` may call another."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the caller of the caller
    while frame is not None and frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "") if frame is not None else ""


@contextlib.contextmanager
def detect_driver_access(accessed: Callable[[object], None]) -> Iterator[None]:
    """Call a function when project code takes a driver's connection or cursor.

    No event sees the statements that are sent that way.

    Parameters:
        accessed: gets the pool's connection, before it is used.
    """
    (patch,) = (patch for patch in PATCHES if patch.owner is _ConnectionFairy)
    present = {
        name: vars(_ConnectionFairy)[name] for name in patch.names if name in vars(_ConnectionFairy)
    }
    guarded = {name: _guarded(name, member, accessed) for name, member in present.items()}
    with _replaced(_ConnectionFairy, **guarded):
        yield


def _guarded(name: str, member: Any, accessed: Callable[[object], None]) -> property:  # noqa: ANN401 - a function, property, slot or default
    """Return a property in place of a class member that reports who reads it."""
    is_descriptor = hasattr(member, "__get__")

    def read(fairy: object) -> object:
        module = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - the caller
        if not module.startswith(_INTERNAL_MODULES):
            accessed(fairy)
        if is_descriptor:
            return member.__get__(fairy, type(fairy))
        return vars(fairy).get(name, member)  # SQLAlchemy 1.4: a default of the class

    def write(fairy: object, value: object) -> None:
        vars(fairy)[name] = value

    return property(read, getattr(member, "__set__", None) if is_descriptor else write)


def parents_of(script: Script) -> tuple[str, ...]:
    """Return the identifiers in ``down_revision`` of a revision."""
    return tuple(script._versioned_down_revisions)  # noqa: SLF001 - PATCHES


def dependencies_of(script: Script) -> tuple[str, ...]:
    """Return the identifiers of the revisions that ``depends_on`` of a revision means."""
    return tuple(script._resolved_dependencies)  # noqa: SLF001 - PATCHES


def version_folders(directory: ScriptDirectory) -> tuple[Path, ...]:
    """Return the folders of the revision files of a project."""
    return tuple(Path(folder) for folder in directory._version_locations)  # noqa: SLF001 - PATCHES


def doubles_percent_signs(preparer: IdentifierPreparer) -> bool:
    """Return whether compiled SQL has each percent sign twice, for the driver."""
    return preparer._double_percents  # noqa: SLF001 - PATCHES


@contextlib.contextmanager
def _replaced(owner: object, **replacements: object) -> Iterator[None]:
    """Set attributes of a class or an instance, and restore them at the end of the context.

    An attribute that an instance inherits from its class is deleted again from the instance.
    """
    own = vars(owner)
    before = {name: own[name] for name in replacements if name in own}
    for name, replacement in replacements.items():
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for name in replacements:
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)
