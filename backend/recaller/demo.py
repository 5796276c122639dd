"""``python -m recaller.demo``: fill a database with a realistic data set of any size."""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import click
import psycopg
from psycopg.conninfo import make_conninfo
from pwdlib import PasswordHash

import liftlock

EMAIL = "demo@recaller.example"
PASSWORD = "demo demo demo"
ENCOUNTERS_EACH = 4
REMINDERS_EACH = 1
ROWS_EACH = 1 + 2 * ENCOUNTERS_EACH + REMINDERS_EACH
_BATCH = 2000

_FIRST = [
    "Ada",
    "Alan",
    "Amina",
    "Barbara",
    "Chen",
    "Dana",
    "Edsger",
    "Fatima",
    "Grace",
    "Haruki",
    "Ines",
    "Jonas",
    "Katherine",
    "Linus",
    "Mei",
    "Niklaus",
    "Olga",
    "Priya",
    "Rosa",
    "Samir",
    "Tove",
]
_LAST = [
    "Abebe",
    "Berg",
    "Costa",
    "Dijkstra",
    "Eriksen",
    "Fischer",
    "García",
    "Hopper",
    "Ito",
    "Johnson",
    "Kim",
    "Lovelace",
    "Meyer",
    "Nguyen",
    "Okafor",
    "Perlman",
    "Rossi",
    "Silva",
    "Turing",
]
_MET = [
    "at a conference",
    "through Tove",
    "on a train",
    "in the choir",
    "as neighbours",
    "at the climbing gym",
    "at university",
]
_WORK = [
    "the city library",
    "a bakery",
    "the observatory",
    "a hospital",
    "a school",
    "the opera",
    None,
]
_TAGS = ["friend", "work", "family", "choir", "climbing", "chess", "books", "garden"]
_PLACES = [
    "Café Central",
    "the park",
    "the station",
    "her kitchen",
    "the office",
    "the harbour",
    None,
]
_TOPICS = [
    "the move to the coast",
    "her thesis",
    "old maps",
    "the new job",
    "a recipe for rye bread",
    "bees",
    "the long winter",
]
_NEXT = ["Send the book.", "Call in spring.", "Introduce her to Samir.", "Ask how it went.", None]


@click.command()
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help=f"Number of people; each brings {ROWS_EACH} rows, so 100000 make a million rows.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same people.")
def main(people: int, seed: int) -> None:
    """Fill the database that the environment names, so that migrations meet real volume."""
    try:
        address = liftlock.database_address(liftlock.settings_from_environment())
        with psycopg.connect(make_conninfo(**address.keywords())) as session:
            fill(session, people, seed)
    except liftlock.LiftlockError as error:
        _fail(str(error), error.exit_code)
    except psycopg.errors.UndefinedTable:
        _fail("The tables don't exist yet: run `liftlock upgrade` first.", 1)
    except psycopg.OperationalError as error:
        _fail(f"{error}\nCheck the variables POSTGRES_…, or run `liftlock doctor`.", 4)
    click.echo(
        f"{people} people, {people * ROWS_EACH} rows."
        f" Log in as {EMAIL} with the password {PASSWORD!r}."
    )


def _fail(message: str, exit_code: int) -> None:
    click.echo(message, err=True)
    sys.exit(exit_code)


def fill(session: psycopg.Connection[Any], people: int, seed: int) -> None:
    """Add the data of a demo account, in transactions of two thousand people.

    Parameters:
        session: connected to a migrated database.
        people: number of people.
        seed: of the random numbers.

    Raises:
        psycopg.Error: a statement failed.
    """
    chance = random.Random(seed)
    account = _account(session)
    with click.progressbar(
        length=people, label="people", file=sys.stderr, show_pos=True
    ) as progress:
        for start in range(0, people, _BATCH):
            count = min(_BATCH, people - start)
            with session.transaction():
                _batch(session, account, count, chance)
            progress.update(count)
    session.execute("ANALYZE people, encounters, encounter_people, reminders")


def _account(session: psycopg.Connection[Any]) -> int:
    """Return the key of the demo account, which is made if it doesn't exist."""
    query = "SELECT id FROM accounts WHERE email = %s"
    insertion = """
        INSERT INTO accounts (email, name, password_hash) VALUES (%s, 'Demo', %s) RETURNING id"""
    # A transaction of its own: within an open one, those of the batches would be savepoints.
    with session.transaction():
        keys = session.execute(query, [EMAIL]).fetchall()
        if not keys:
            password_hash = PasswordHash.recommended().hash(PASSWORD)
            keys = session.execute(insertion, [EMAIL, password_hash]).fetchall()
    return int(keys[0][0])


def _batch(
    session: psycopg.Connection[Any], account: int, count: int, chance: random.Random
) -> None:
    """Add some people, with their encounters and reminders."""
    people = _keys(session, "people", count)
    encounters = _keys(session, "encounters", count * ENCOUNTERS_EACH)
    now = dt.datetime.now(dt.UTC)
    _copy(
        session,
        "people (id, account_id, name, how_we_met, workplace, contact, tags, birthday, notes)",
        (_person(key, account, chance) for key in people),
    )
    _copy(
        session,
        "encounters (id, account_id, kind, happened_at, place, summary, next_steps)",
        (_encounter(key, account, now, chance) for key in encounters),
    )
    _copy(
        session,
        "encounter_people (encounter_id, person_id)",
        ((key, people[number // ENCOUNTERS_EACH]) for number, key in enumerate(encounters)),
    )
    _copy(
        session,
        "reminders (account_id, person_id, every_days, due_on)",
        (_reminder(key, account, now, chance) for key in people),
    )


def _keys(session: psycopg.Connection[Any], table: str, count: int) -> list[int]:
    """Take keys from a table's sequence, so that rows can refer to each other before COPY."""
    query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    return [row[0] for row in session.execute(query, [table, count])]


def _copy(
    session: psycopg.Connection[Any], target: str, rows: Iterator[tuple[object, ...]]
) -> None:
    with session.cursor().copy(f"COPY {target} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _person(key: int, account: int, chance: random.Random) -> tuple[object, ...]:
    first = chance.choice(_FIRST)
    last = chance.choice(_LAST)
    contact = json.dumps({"email": f"{first}.{last}.{key}@example.com".lower()})
    birthday = dt.date(1940, 1, 1) + dt.timedelta(days=chance.randrange(24_000))
    tags = chance.sample(_TAGS, chance.randrange(4))
    return (
        key,
        account,
        f"{first} {last}",
        chance.choice(_MET),
        chance.choice(_WORK),
        contact,
        tags,
        birthday,
        f"Talks about {chance.choice(_TOPICS)}.",
    )


def _encounter(
    key: int, account: int, now: dt.datetime, chance: random.Random
) -> tuple[object, ...]:
    when = now - dt.timedelta(minutes=chance.randrange(3_000_000))
    kind = chance.choice(["in_person", "in_person", "call", "message", "video"])
    return (
        key,
        account,
        kind,
        when,
        chance.choice(_PLACES),
        f"We talked about {chance.choice(_TOPICS)}.",
        chance.choice(_NEXT),
    )


def _reminder(
    person: int, account: int, now: dt.datetime, chance: random.Random
) -> tuple[object, ...]:
    return (
        account,
        person,
        chance.choice([30, 90, 180, 365]),
        now.date() + dt.timedelta(days=chance.randrange(-30, 365)),
    )


if __name__ == "__main__":
    main(prog_name="python -m recaller.demo")
