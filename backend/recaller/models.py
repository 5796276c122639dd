"""The tables. A test compares them with the schema that the revisions make."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of all models, with a naming convention that the revisions use too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        dt.datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        dict[str, str]: JSONB,
    }


class EncounterKind(enum.StrEnum):
    """The kind of an encounter."""

    IN_PERSON = "in_person"
    CALL = "call"
    MESSAGE = "message"
    VIDEO = "video"


def _id() -> Mapped[int]:
    return mapped_column(Identity(always=True), primary_key=True)


def _owner() -> Mapped[int]:
    return mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))


def _now() -> Mapped[dt.datetime]:
    return mapped_column(server_default=func.now())


class Account(Base):
    """A user of the service. Every other row belongs to one account."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[int] = _id()
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[dt.datetime] = _now()


class SigningKey(Base):
    """The key that signs tokens: at most one row."""

    __tablename__ = "signing_keys"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    secret: Mapped[str]


class Person(Base):
    """A person that the account's owner knows."""

    __tablename__ = "people"
    __table_args__ = (
        Index("ix_people_account_id_name_id", "account_id", "name", "id"),
        Index(
            "ix_people_name_trgm",
            "name",
            postgresql_using="gin",
            postgresql_ops={"name": "gin_trgm_ops"},
        ),
        Index(
            "ix_people_notes_trgm",
            "notes",
            postgresql_using="gin",
            postgresql_ops={"notes": "gin_trgm_ops"},
        ),
        Index("ix_people_tags", "tags", postgresql_using="gin"),
    )

    id: Mapped[int] = _id()
    account_id: Mapped[int] = _owner()
    name: Mapped[str]
    how_we_met: Mapped[str | None]
    workplace: Mapped[str | None]
    contact: Mapped[dict[str, str]] = mapped_column(server_default=text("'{}'::jsonb"))
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    birthday: Mapped[dt.date | None]
    notes: Mapped[str | None]
    created_at: Mapped[dt.datetime] = _now()
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


encounter_people = Table(
    "encounter_people",
    Base.metadata,
    Column("encounter_id", ForeignKey("encounters.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_encounter_people_person_id", "person_id"),
)


class Encounter(Base):
    """A meeting, call or message: people, time, place, summary and next steps."""

    __tablename__ = "encounters"
    __table_args__ = (
        Index("ix_encounters_account_id_happened_at_id", "account_id", "happened_at", "id"),
        Index(
            "ix_encounters_summary_trgm",
            "summary",
            postgresql_using="gin",
            postgresql_ops={"summary": "gin_trgm_ops"},
        ),
    )

    id: Mapped[int] = _id()
    account_id: Mapped[int] = _owner()
    kind: Mapped[EncounterKind] = mapped_column(
        Enum(
            EncounterKind,
            name="encounter_kind",
            values_callable=lambda kinds: [kind.value for kind in kinds],
        ),
        server_default=EncounterKind.IN_PERSON.value,
    )
    happened_at: Mapped[dt.datetime]
    place: Mapped[str | None]
    summary: Mapped[str]
    next_steps: Mapped[str | None]
    created_at: Mapped[dt.datetime] = _now()
    people: Mapped[list[Person]] = relationship(
        secondary=encounter_people, lazy="selectin", order_by=Person.name
    )


class Reminder(Base):
    """A reminder to contact a person, every so many days or once on a date."""

    __tablename__ = "reminders"
    __table_args__ = (
        CheckConstraint("every_days BETWEEN 1 AND 3660", name="every_days_range"),
        Index("ix_reminders_account_id_due_on_id", "account_id", "due_on", "id"),
        Index("ix_reminders_person_id", "person_id"),
    )

    id: Mapped[int] = _id()
    account_id: Mapped[int] = _owner()
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    every_days: Mapped[int | None]
    due_on: Mapped[dt.date]
    note: Mapped[str | None]
    done_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = _now()
