"""``python -m recaller.demo``: a believable data set of any size, so that migrations meet real volume."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
from pwdlib import PasswordHash
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from liftlock import settings
from liftlock.errors import LiftlockError
from liftlock.revisions.build import address_of

EMAIL, PASSWORD = "demo@recaller.example", "demo demo demo"
ENCOUNTERS_EACH, REMINDERS_EACH = 4, 1
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


def main(arguments: list[str] | None = None) -> int:
    """Fill the database that the environment names.

    Parameters:
        arguments: the command line's; the process's own by default.
    """
    parser = argparse.ArgumentParser(prog="python -m recaller.demo", description=__doc__)
    rows = 1 + 2 * ENCOUNTERS_EACH + REMINDERS_EACH
    parser.add_argument(
        "--people",
        type=int,
        default=1000,
        help=f"how many; each brings {rows} rows, so 100000 make a million [1000]",
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same people [1]")
    given = parser.parse_args(arguments)
    if given.people < 1:
        parser.error("--people must be 1 or more")
    try:
        address = address_of(settings.read())
        with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]  # all of them are texts
            fill(session, given.people, given.seed)
    except LiftlockError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except psycopg.errors.UndefinedTable:
        sys.stderr.write("The tables aren't there yet: run `liftlock upgrade` first.\n")
        return 1
    except psycopg.OperationalError as error:
        sys.stderr.write(
            f"{error}\nCheck POSTGRES_SERVER and its family, or run `liftlock doctor`.\n"
        )
        return 4
    sys.stdout.write(
        f"{given.people} people, {given.people * rows} rows. Log in as {EMAIL} with the password {PASSWORD!r}.\n"
    )
    return 0


def fill(session: psycopg.Connection[Any], people: int, seed: int) -> None:
    """Add a demo account's data, in transactions of two thousand people.

    Raises:
        psycopg.Error: as the server says.
    """
    chance = random.Random(seed)
    account = _account(session)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("people", total=people)
        for start in range(0, people, _BATCH):
            count = min(_BATCH, people - start)
            with session.transaction():
                _batch(session, account, count, chance)
            progress.advance(task, count)
    session.execute("ANALYZE people, encounters, encounter_people, reminders")


def _account(session: psycopg.Connection[Any]) -> int:
    row = session.execute("SELECT id FROM accounts WHERE email = %s", [EMAIL]).fetchone()
    if row is None:
        password = PasswordHash.recommended().hash(PASSWORD)
        made = (
            "INSERT INTO accounts (email, name, password_hash) VALUES (%s, 'Demo', %s) RETURNING id"
        )
        row = session.execute(made, [EMAIL, password]).fetchone()
    session.commit()
    assert row is not None
    return int(row[0])


def _batch(
    session: psycopg.Connection[Any], account: int, count: int, chance: random.Random
) -> None:
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
    taken = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
    return [row[0] for row in session.execute(taken, [table, count])]


def _copy(
    session: psycopg.Connection[Any], target: str, rows: Iterator[tuple[object, ...]]
) -> None:
    with session.cursor().copy(f"COPY {target} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _person(key: int, account: int, chance: random.Random) -> tuple[object, ...]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
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
    sys.exit(main())
