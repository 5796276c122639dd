"""The service, over HTTP, on a real database."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from liftlock.settings import Address

TODAY = dt.datetime.now(dt.UTC).date()


def person(client: httpx.Client, **what: Any) -> dict[str, Any]:
    """Add a person."""
    made = client.post("/people", json={"name": "Grace Hopper", **what})
    assert made.status_code == 201, made.text
    return made.json()


def encounter(client: httpx.Client, people: list[int], **what: Any) -> dict[str, Any]:
    """Add an encounter."""
    made = client.post(
        "/encounters",
        json={"people": people, "happened_at": "2026-05-04T18:30:00Z", "summary": "Bugs.", **what},
    )
    assert made.status_code == 201, made.text
    return made.json()


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """An answer that must be a problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_an_account_and_who_it_is(client: httpx.Client) -> None:
    """The password never comes back."""
    me = client.get("/me")
    assert me.status_code == 200
    assert set(me.json()) == {"id", "email", "name", "created_at"}


def test_an_email_address_opens_one_account(service: str) -> None:
    """Whatever its capitals."""
    body = {"email": "Twice@Example.com", "name": "T", "password": "correct horse battery"}
    assert httpx.post(f"{service}/accounts", json=body).status_code in {201, 409}
    problem(httpx.post(f"{service}/accounts", json=body | {"email": "twice@example.com"}), 409)


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic abc", "Bearer " + "a.b.c"])
def test_without_a_token_nothing_is_told(service: str, header: str | None) -> None:
    """A 401 that says so."""
    answer = httpx.get(f"{service}/people", headers={"Authorization": header} if header else {})
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_password_and_an_unknown_address_look_the_same(
    service: str, client: httpx.Client
) -> None:
    """Nobody learns which addresses have accounts."""
    email = client.get("/me").json()["email"]
    answers = [
        httpx.post(f"{service}/token", data={"username": name, "password": "x"})
        for name in (email, "nobody@example.com")
    ]
    assert [problem(answer, 401)["detail"] for answer in answers] == [
        "E-mail address or password is wrong."
    ] * 2


def test_a_persons_life(client: httpx.Client) -> None:
    """Added, read, changed, forgotten."""
    one = person(
        client, tags=["Chess ", "books"], contact={"email": "g@example.com"}, birthday="1906-12-09"
    )
    assert one["tags"] == ["chess", "books"]
    assert client.get(f"/people/{one['id']}").json() == one
    changed = client.put(
        f"/people/{one['id']}", json={"name": "Grace", "workplace": "US Navy"}
    ).json()
    assert (changed["name"], changed["workplace"], changed["tags"]) == ("Grace", "US Navy", [])
    assert client.delete(f"/people/{one['id']}").status_code == 204
    problem(client.get(f"/people/{one['id']}"), 404)


def test_people_are_filtered(client: httpx.Client) -> None:
    """By tag, workplace and month of birth."""
    person(client, name="A", tags=["chess"], workplace="Opera", birthday="1990-02-03")
    person(client, name="B", tags=["books"])
    for query in ("tag=Chess", "workplace=Opera", "birthday_month=2"):
        assert [one["name"] for one in client.get(f"/people?{query}").json()["items"]] == ["A"]


def test_pages_follow_each_other_without_gaps(client: httpx.Client) -> None:
    """Even when names are the same and a row is added meanwhile."""
    expected = [person(client, name=f"P{number // 3}")["id"] for number in range(10)]
    seen, after = [], None
    while True:
        page = client.get(
            "/people", params={"limit": 3, **({"after": after} if after else {})}
        ).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
        person(client, name="A first")
    assert seen == expected


@pytest.mark.parametrize(
    "after", ["x", "e30=", "WzFd", "WyJhIiwgMSwgMl0=", "WyJhIiwgInoiXQ==", "[" * 500]
)
@pytest.mark.parametrize("path", ["/people", "/encounters", "/reminders"])
def test_a_cursor_that_is_none(client: httpx.Client, path: str, after: str) -> None:
    """Bad input, told as such."""
    problem(client.get(path, params={"after": after}), 422)


def test_an_encounter_names_who_was_there(client: httpx.Client) -> None:
    """The latest first; filtered by person and time."""
    grace, ada = person(client), person(client, name="Ada")
    first = encounter(client, [grace["id"]], happened_at="2026-01-01T00:00:00Z")
    second = encounter(
        client, [grace["id"], ada["id"]], kind="video", place="Home", next_steps="Call"
    )
    assert [one["name"] for one in second["people"]] == ["Ada", "Grace Hopper"]
    assert [one["id"] for one in client.get("/encounters").json()["items"]] == [
        second["id"],
        first["id"],
    ]
    for query, expected in (
        (f"person={ada['id']}", second),
        ("until=2026-02-01T00:00:00Z", first),
        ("since=2026-02-01T00:00:00Z", second),
    ):
        assert [one["id"] for one in client.get(f"/encounters?{query}").json()["items"]] == [
            expected["id"]
        ]
    changed = client.put(
        f"/encounters/{first['id']}",
        json={"people": [ada["id"]], "happened_at": "2026-01-02T00:00:00Z", "summary": "S"},
    )
    assert [one["name"] for one in changed.json()["people"]] == ["Ada"]
    assert client.delete(f"/encounters/{first['id']}").status_code == 204


def test_reminders_come_due_repeat_and_can_wait(client: httpx.Client) -> None:
    """Every N days; on a date; done; snoozed."""
    grace = person(client)["id"]
    repeating = client.post(
        "/reminders", json={"person_id": grace, "every_days": 90, "due_on": str(TODAY)}
    ).json()
    once = client.post(
        "/reminders", json={"person_id": grace, "due_on": "2020-01-01", "note": "Write"}
    ).json()
    later = client.post("/reminders", json={"person_id": grace, "every_days": 30}).json()
    assert later["due_on"] == str(TODAY + dt.timedelta(days=30))

    def due() -> list[int]:
        return [one["id"] for one in client.get("/reminders?due=true").json()["items"]]

    assert due() == [once["id"], repeating["id"]]
    assert client.post(f"/reminders/{repeating['id']}/done").json()["due_on"] == str(
        TODAY + dt.timedelta(days=90)
    )
    assert client.post(f"/reminders/{once['id']}/snooze", json={"days": 7}).json()["due_on"] == str(
        TODAY + dt.timedelta(days=7)
    )
    assert client.post(f"/reminders/{once['id']}/done").json()["done_at"]
    assert due() == []
    assert client.delete(f"/reminders/{later['id']}").status_code == 204


def test_search_forgives_typing_errors_and_ranks(client: httpx.Client) -> None:
    """Across people and encounters, best first."""
    grace = person(client, name="Grace Hopper", notes="Keeps a nanosecond in her purse")
    person(client, name="Linus")
    met = encounter(client, [grace["id"]], summary="We spoke about compilers and moths")
    assert [hit["text"] for hit in client.get("/search", params={"q": "Grase Hoper"}).json()] == [
        "Grace Hopper"
    ]
    assert client.get("/search", params={"q": "nanosecnd"}).json()[0]["id"] == grace["id"]
    (hit,) = client.get("/search", params={"q": "compilrs"}).json()
    assert (hit["kind"], hit["id"]) == ("encounter", met["id"])
    scores = [hit["score"] for hit in client.get("/search", params={"q": "grace"}).json()]
    assert scores == sorted(scores, reverse=True)


def test_no_route_tells_one_account_of_anothers_data(account: Callable[[], httpx.Client]) -> None:
    """Tried on every route of the OpenAPI document: 404 for keys, nothing in lists and searches."""
    mine, theirs = account(), account()
    grace = person(mine, name="Grace Hopper", tags=["secret"], workplace="Navy")
    keys = {
        "people": grace["id"],
        "encounters": encounter(mine, [grace["id"]])["id"],
        "reminders": mine.post(
            "/reminders", json={"person_id": grace["id"], "every_days": 9}
        ).json()["id"],
    }
    before = {name: mine.get(f"/{name}/{key}").json() for name, key in keys.items()}
    bodies = {
        "people": {"name": "Mine now"},
        "encounters": {"people": [], "happened_at": "2026-05-04T18:30:00Z", "summary": "Mine now"},
        "snooze": {"days": 9},
        "reminders": {"person_id": grace["id"], "every_days": 9},
    }
    own = person(theirs)["id"]
    bodies["encounters"]["people"] = [own]
    tried = set()
    for path, methods in mine.get("/openapi.json").json()["paths"].items():
        collection = path.split("/")[1]
        for method in methods:
            body = (
                bodies.get(path.rsplit("/", maxsplit=1)[-1], bodies.get(collection))
                if method in {"post", "put"}
                else None
            )
            if "{key}" in path:
                problem(theirs.request(method, path.format(key=keys[collection]), json=body), 404)
                tried.add((method, path))
    assert len(tried) == 10, "a new route with a key: is it tried with the right body?"
    assert [one["id"] for one in theirs.get("/people").json()["items"]] == [own]
    assert (
        theirs.get("/encounters").json()["items"] == theirs.get("/reminders").json()["items"] == []
    )
    assert (
        theirs.get("/people?tag=secret").json()["items"]
        == theirs.get("/people?workplace=Navy").json()["items"]
        == []
    )
    assert theirs.get(f"/encounters?person={grace['id']}").json()["items"] == []
    assert theirs.get(f"/reminders?person={grace['id']}").json()["items"] == []
    assert [hit["id"] for hit in theirs.get("/search?q=Grace").json()] == [own]
    problem(theirs.post("/encounters", json={**bodies["encounters"], "people": [grace["id"]]}), 404)
    problem(
        theirs.put(
            f"/encounters/{encounter(theirs, [own])['id']}",
            json={**bodies["encounters"], "people": [grace["id"]]},
        ),
        404,
    )
    problem(theirs.post("/reminders", json={"person_id": grace["id"], "every_days": 9}), 404)
    assert {name: mine.get(f"/{name}/{key}").json() for name, key in keys.items()} == before


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/people", {}, "name"),
        ("/people", {"name": "  "}, "name"),
        ("/people", {"name": "a\x00b"}, "name"),
        ("/people", {"name": "a", "birthday": "1906-13-09"}, "birthday"),
        ("/people", {"name": "a", "tags": ["x" * 51]}, "tags"),
        (
            "/encounters",
            {"people": [], "happened_at": "2026-05-04T18:30:00Z", "summary": ""},
            "people",
        ),
        (
            "/encounters",
            {"people": [1], "happened_at": "2026-05-04T18:30:00", "summary": ""},
            "happened_at",
        ),
        (
            "/encounters",
            {"people": [2**70], "happened_at": "2026-05-04T18:30:00Z", "summary": ""},
            "people",
        ),
        (
            "/encounters",
            {"people": [1], "kind": "fax", "happened_at": "2026-05-04T18:30:00Z", "summary": ""},
            "kind",
        ),
        ("/reminders", {"person_id": 1}, "body"),
        ("/reminders", {"person_id": 1, "every_days": 0}, "every_days"),
    ],
)
def test_bad_input_is_told_where_it_is_bad(
    client: httpx.Client, path: str, body: dict[str, Any], where: str
) -> None:
    """A problem document with the field's name."""
    mistakes = problem(client.post(path, json=body), 422)["mistakes"]
    assert any(where in one["where"] for one in mistakes), mistakes


def test_broken_json_and_wrong_methods(client: httpx.Client) -> None:
    """Also problems."""
    problem(client.post("/people", content=b"{", headers={"content-type": "application/json"}), 422)
    problem(client.patch("/people"), 405)
    problem(client.get("/nowhere"), 404)
    problem(client.get("/people/x"), 422)


def test_health_and_metrics(service: str, client: httpx.Client) -> None:
    """Readiness says the revisions; requests are counted by route, not by URL."""
    person(client)
    assert httpx.get(f"{service}/health/live").json() == {"status": "alive"}
    ready = httpx.get(f"{service}/health/ready").json()
    assert ready["database"] == ready["required"] == ["0015"]
    assert (
        'recaller_requests_total{method="POST",route="/people",status="201"}'
        in httpx.get(f"{service}/metrics").text
    )


def test_the_services_connections_carry_its_revision(
    service: str, client: httpx.Client, database: Address
) -> None:
    """So that whoever migrates sees which releases are connected."""
    assert service
    client.get("/me")
    with psycopg.connect(**database.keywords()) as session:  # type: ignore[arg-type]
        names = session.execute(
            "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'recaller@%'"
        ).fetchall()
    assert names == [("recaller@0015",)]


def test_the_document_refers_to_nothing_that_is_missing(client: httpx.Client) -> None:
    """Every `$ref` resolves."""
    text = client.get("/openapi.json").text
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)


def test_the_documents_examples_work(client: httpx.Client) -> None:
    """What OpenAPI shows can be sent as it is."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    made = client.post("/people", json=schemas["PersonIn"]["example"]).json()
    encounter_example = {**schemas["EncounterIn"]["example"], "people": [made["id"]]}
    assert client.post("/encounters", json=encounter_example).status_code == 201
    assert (
        client.post(
            "/reminders", json={**schemas["ReminderIn"]["example"], "person_id": made["id"]}
        ).status_code
        == 201
    )
