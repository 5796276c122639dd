"""The API of the service over HTTP, with a real database."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from recaller_helpers import connected

from liftlock import Address

TODAY = dt.datetime.now(dt.UTC).date()


def add_person(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """Add a person through the API, and return it."""
    response = client.post("/people", json={"name": "Grace Hopper", **fields})
    assert response.status_code == 201, response.text
    return response.json()


def add_encounter(client: httpx.Client, people: list[int], **fields: Any) -> dict[str, Any]:
    """Add an encounter through the API, and return it."""
    body = {
        "people": people,
        "happened_at": "2026-05-04T18:30:00Z",
        "summary": "Bugs.",
        **fields,
    }
    response = client.post("/encounters", json=body)
    assert response.status_code == 201, response.text
    return response.json()


def add_reminder(client: httpx.Client, person: int, **fields: Any) -> dict[str, Any]:
    """Add a reminder through the API, and return it."""
    response = client.post("/reminders", json={"person_id": person, **fields})
    assert response.status_code == 201, response.text
    return response.json()


def listed(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Return the items of a list."""
    return client.get(path).json()["items"]


def ids(items: list[dict[str, Any]]) -> list[int]:
    """Return the keys of items."""
    return [item["id"] for item in items]


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check that a response is a problem document with this status, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_account_is_returned_without_password(client: httpx.Client) -> None:
    """The response has the four public fields."""
    response = client.get("/me")
    assert response.status_code == 200
    assert set(response.json()) == {"id", "email", "name", "created_at"}


def test_email_address_opens_one_account(service: str) -> None:
    """Capital letters make no difference."""
    body = {"email": "Twice@Example.com", "name": "T", "password": "correct horse battery"}
    assert httpx.post(f"{service}/accounts", json=body).status_code in {201, 409}
    problem(httpx.post(f"{service}/accounts", json=body | {"email": "twice@example.com"}), 409)


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic abc", "Bearer " + "a.b.c"])
def test_request_without_valid_token_is_rejected(service: str, header: str | None) -> None:
    """The response is a 401 that names the scheme."""
    headers = {"Authorization": header} if header else {}
    response = httpx.get(f"{service}/people", headers=headers)
    problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


def test_login_does_not_reveal_which_addresses_have_accounts(
    service: str, client: httpx.Client
) -> None:
    """A wrong password and an unknown address get the same response."""
    known = client.get("/me").json()["email"]
    for email in (known, "unknown@example.com"):
        response = httpx.post(f"{service}/token", data={"username": email, "password": "x"})
        assert problem(response, 401)["detail"] == "E-mail address or password is wrong."


def test_person_is_added_read_changed_and_deleted(client: httpx.Client) -> None:
    """A change replaces all fields, those that it leaves out too."""
    added = add_person(
        client, tags=["Chess ", "books"], contact={"email": "g@example.com"}, birthday="1906-12-09"
    )
    assert added["tags"] == ["chess", "books"]
    path = f"/people/{added['id']}"
    assert client.get(path).json() == added
    changed = client.put(path, json={"name": "Grace", "workplace": "US Navy"}).json()
    assert changed["name"] == "Grace"
    assert changed["workplace"] == "US Navy"
    assert changed["tags"] == []
    assert client.delete(path).status_code == 204
    problem(client.get(path), 404)


def test_people_are_filtered(client: httpx.Client) -> None:
    """The filters are tag, workplace and month of birth."""
    add_person(client, name="A", tags=["chess"], workplace="Opera", birthday="1990-02-03")
    add_person(client, name="B", tags=["books"])
    for query in ("tag=Chess", "workplace=Opera", "birthday_month=2"):
        assert [person["name"] for person in listed(client, f"/people?{query}")] == ["A"]


def test_pages_have_no_gaps_and_no_repetitions(client: httpx.Client) -> None:
    """Names are equal, and rows are added between the pages."""
    expected = [add_person(client, name=f"P{number // 3}")["id"] for number in range(10)]
    seen: list[int] = []
    parameters: dict[str, Any] = {"limit": 3}
    while True:
        page = client.get("/people", params=parameters).json()
        seen += ids(page["items"])
        if page["next"] is None:
            break
        parameters["after"] = page["next"]
        add_person(client, name="A first")
    assert seen == expected


@pytest.mark.parametrize(
    "after", ["x", "e30=", "WzFd", "WyJhIiwgMSwgMl0=", "WyJhIiwgInoiXQ==", "[" * 500]
)
@pytest.mark.parametrize("path", ["/people", "/encounters", "/reminders"])
def test_invalid_cursor_is_rejected(client: httpx.Client, path: str, after: str) -> None:
    """The response is a 422."""
    problem(client.get(path, params={"after": after}), 422)


def test_encounters_are_listed_filtered_changed_and_deleted(client: httpx.Client) -> None:
    """The latest is the first; filters are person and time; each names its people."""
    grace = add_person(client)
    ada = add_person(client, name="Ada")
    both = [grace["id"], ada["id"]]
    first = add_encounter(client, [grace["id"]], happened_at="2026-01-01T00:00:00Z")
    second = add_encounter(client, both, kind="video", place="Home", next_steps="Call")
    assert [person["name"] for person in second["people"]] == ["Ada", "Grace Hopper"]
    assert ids(listed(client, "/encounters")) == [second["id"], first["id"]]
    for query, expected in (
        (f"person={ada['id']}", second),
        ("until=2026-02-01T00:00:00Z", first),
        ("since=2026-02-01T00:00:00Z", second),
    ):
        assert ids(listed(client, f"/encounters?{query}")) == [expected["id"]]
    path = f"/encounters/{first['id']}"
    body = {"people": [ada["id"]], "happened_at": "2026-01-02T00:00:00Z", "summary": "S"}
    changed = client.put(path, json=body).json()
    assert [person["name"] for person in changed["people"]] == ["Ada"]
    assert client.delete(path).status_code == 204


def test_reminders_become_due_repeat_and_are_postponed(client: httpx.Client) -> None:
    """A reminder repeats every so many days or has one date; it is marked as done or snoozed."""
    grace = add_person(client)["id"]
    repeating = add_reminder(client, grace, every_days=90, due_on=str(TODAY))
    single = add_reminder(client, grace, due_on="2020-01-01", note="Write")
    later = add_reminder(client, grace, every_days=30)
    assert later["due_on"] == str(TODAY + dt.timedelta(days=30))
    assert ids(listed(client, "/reminders?due=true")) == [single["id"], repeating["id"]]

    done = client.post(f"/reminders/{repeating['id']}/done").json()
    assert done["due_on"] == str(TODAY + dt.timedelta(days=90))
    snoozed = client.post(f"/reminders/{single['id']}/snooze", json={"days": 7}).json()
    assert snoozed["due_on"] == str(TODAY + dt.timedelta(days=7))
    assert client.post(f"/reminders/{single['id']}/done").json()["done_at"]
    assert listed(client, "/reminders?due=true") == []
    assert client.delete(f"/reminders/{later['id']}").status_code == 204


def test_search_tolerates_typing_errors_and_ranks_hits(client: httpx.Client) -> None:
    """Hits are people and encounters, the best first."""

    def hits(words: str) -> list[dict[str, Any]]:
        return client.get("/search", params={"q": words}).json()

    grace = add_person(client, name="Grace Hopper", notes="Keeps a nanosecond in her purse")
    add_person(client, name="Linus")
    met = add_encounter(client, [grace["id"]], summary="We spoke about compilers and moths")
    assert [hit["text"] for hit in hits("Grase Hoper")] == ["Grace Hopper"]
    assert hits("nanosecnd")[0]["id"] == grace["id"]
    (hit,) = hits("compilrs")
    assert hit["kind"] == "encounter"
    assert hit["id"] == met["id"]
    scores = [hit["score"] for hit in hits("grace")]
    assert scores == sorted(scores, reverse=True)


def test_accounts_cannot_reach_each_others_data(account: Callable[[], httpx.Client]) -> None:
    """Keys of another account are a 404 on every route; lists and searches don't show its rows."""
    mine = account()
    theirs = account()
    grace = add_person(mine, name="Grace Hopper", tags=["secret"], workplace="Navy")["id"]
    keys = {
        "people": grace,
        "encounters": add_encounter(mine, [grace])["id"],
        "reminders": add_reminder(mine, grace, every_days=9)["id"],
    }
    before = {name: mine.get(f"/{name}/{key}").json() for name, key in keys.items()}
    own = add_person(theirs)["id"]
    meeting = {"people": [own], "happened_at": "2026-05-04T18:30:00Z", "summary": "Mine now"}
    bodies = {"people": {"name": "Mine now"}, "encounters": meeting, "snooze": {"days": 9}}
    tried = set()
    for path, methods in mine.get("/openapi.json").json()["paths"].items():
        if "{key}" not in path:
            continue
        collection = path.split("/")[1]
        body = bodies.get(path.rsplit("/", maxsplit=1)[-1], bodies.get(collection))
        for method in methods:
            sent = body if method in {"post", "put"} else None
            problem(theirs.request(method, path.format(key=keys[collection]), json=sent), 404)
            tried.add((method, path))
    assert len(tried) == 10, "a new route with a key: is it tried with the right body?"

    assert ids(listed(theirs, "/people")) == [own]
    for query in (
        "/encounters",
        "/reminders",
        "/people?tag=secret",
        "/people?workplace=Navy",
        f"/encounters?person={grace}",
        f"/reminders?person={grace}",
    ):
        assert listed(theirs, query) == []
    assert ids(theirs.get("/search?q=Grace").json()) == [own]

    with_grace = {**meeting, "people": [grace]}
    problem(theirs.post("/encounters", json=with_grace), 404)
    changed = f"/encounters/{add_encounter(theirs, [own])['id']}"
    problem(theirs.put(changed, json=with_grace), 404)
    problem(theirs.post("/reminders", json={"person_id": grace, "every_days": 9}), 404)
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
def test_invalid_input_is_rejected_with_the_name_of_the_field(
    client: httpx.Client, path: str, body: dict[str, Any], where: str
) -> None:
    """The response is a problem document that lists the mistakes."""
    mistakes = problem(client.post(path, json=body), 422)["mistakes"]
    assert any(where in mistake["where"] for mistake in mistakes), mistakes


def test_broken_json_wrong_methods_and_unknown_paths_are_problems(client: httpx.Client) -> None:
    """Errors from outside of the routes are problem documents too."""
    json_type = {"content-type": "application/json"}
    problem(client.post("/people", content=b"{", headers=json_type), 422)
    problem(client.patch("/people"), 405)
    problem(client.get("/nowhere"), 404)
    problem(client.get("/people/x"), 422)


def test_readiness_names_revisions_and_metrics_count_by_route(
    service: str, client: httpx.Client
) -> None:
    """A metric has the route's path, not the URL."""
    add_person(client)
    assert httpx.get(f"{service}/health/live").json() == {"status": "alive"}
    ready = httpx.get(f"{service}/health/ready").json()
    assert ready["database"] == ["0015"]
    assert ready["required"] == ["0015"]
    metrics = httpx.get(f"{service}/metrics").text
    assert 'recaller_requests_total{method="POST",route="/people",status="201"}' in metrics


def test_application_name_holds_the_required_revision(
    service: str, client: httpx.Client, database: Address
) -> None:
    """During a migration pg_stat_activity shows which releases are connected."""
    assert service
    client.get("/me")
    query = """
        SELECT DISTINCT application_name FROM pg_stat_activity
        WHERE application_name LIKE 'recaller@%'"""
    with connected(database) as session:
        names = session.execute(query).fetchall()
    assert names == [("recaller@0015",)]


def test_references_in_the_openapi_document_resolve(client: httpx.Client) -> None:
    """Every `$ref` leads to a schema."""
    document = client.get("/openapi.json")
    schemas = document.json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', document.text)) <= set(schemas)


def test_examples_in_the_openapi_document_are_accepted(client: httpx.Client) -> None:
    """Each example can be sent without changes but the person's key."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    person = client.post("/people", json=schemas["PersonIn"]["example"]).json()["id"]
    encounter = {**schemas["EncounterIn"]["example"], "people": [person]}
    assert client.post("/encounters", json=encounter).status_code == 201
    reminder = {**schemas["ReminderIn"]["example"], "person_id": person}
    assert client.post("/reminders", json=reminder).status_code == 201
