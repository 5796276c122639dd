"""Texts that PostgreSQL 17's parser rejects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.sql import mask_literals, parse
from liftlock.sql.opaque import opaque_statement
from liftlock.sql.tokens import TokenKind, nesting, split, tokenize

ATOMIC = """CREATE FUNCTION f() RETURNS int
BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END"""
WORDS = [
    ("SELECT 1 FROM", "SELECT", {"is_read"}),
    ("((SELECT 1", "SELECT", {"is_read"}),
    ("SELECT FROM WHERE FOR NO KEY UPDATE", "SELECT", {"is_read", "requires_one_transaction"}),
    ("SELECT FROM WHERE 'FOR UPDATE'", "SELECT", {"is_read"}),
    ("SELECT pg_advisory_xact_lock(1) x y", "SELECT", {"is_read", "requires_one_transaction"}),
    ("SELECT a INTO TEMP x FROM WHERE", "SELECT", {"is_read", "requires_one_transaction"}),
    ("WITH a AS (SELECT 1) SELECT 'INSERT' x y", "WITH", {"is_read"}),
    ("WITH a AS (SELECT 1) UPDATE t SET", "WITH", {"may_write"}),
    ("SHOW TABLES LIKE 'a'", "SHOW", {"is_read"}),
    ("EXPLAIN FORMAT = json", "EXPLAIN", {"is_read"}),
    ("EXPLAIN ANALYZE DELETE t FROM", "EXPLAIN", {"may_write"}),
    ("INSERT t VALUES (set_config('a.b', 'c', true))", "INSERT", {"may_write"}),
    ("INSERT t VALUES", "INSERT", {"may_write"}),
    ("PRAGMA foreign_keys = ON", "PRAGMA", {"may_write"}),
    (r"\connect app", "", {"may_write"}),
    (r"\.", "", {"may_write"}),
    ("1 2", "", {"may_write"}),
    ("SET a b c", "SET", {"may_write", "is_session_setting"}),
    ("SET LOCAL a b c", "SET", {"may_write", "is_session_setting", "is_local_setting"}),
    ("SET ROLE a b", "SET", {"may_write", "is_session_setting", "sets_role"}),
    ("SET SESSION AUTHORIZATION a b", "SET", {"may_write", "is_session_setting", "sets_role"}),
    ("SET LOCAL TIME ZONE a b", "SET", {"may_write", "is_session_setting", "is_local_setting"}),
    (
        "SET CONSTRAINTS a b",
        "SET CONSTRAINTS",
        {"may_write", "is_session_setting", "is_local_setting"},
    ),
    (
        "SELECT set_config('a.b', 'c', true) x y",
        "SELECT",
        {"is_read", "is_session_setting", "is_local_setting"},
    ),
    ("SELECT set_config(", "SELECT", {"is_read", "is_session_setting"}),
    ("SELECT 'set_config(' x y", "SELECT", {"is_read"}),
    ("RESET a b", "RESET", {"may_write", "is_session_setting"}),
    ("COMMIT a", "COMMIT", {"may_write", "ends_transaction"}),
    ("END a", "COMMIT", {"may_write", "ends_transaction"}),
    ("COMMIT PREPARED a", "COMMIT PREPARED", {"may_write"}),
    ("ROLLBACK a", "ROLLBACK", {"rolls_back"}),
    ("ROLLBACK WORK TO 1", "ROLLBACK TO SAVEPOINT", set()),
    ("ROLLBACK PREPARED a", "ROLLBACK PREPARED", set()),
    ("PREPARE TRANSACTION a", "PREPARE TRANSACTION", {"may_write"}),
    ("BEGIN a", "BEGIN", {"may_write", "begins_transaction", "requires_one_transaction"}),
    (
        "START TRANSACTION a",
        "START TRANSACTION",
        {"may_write", "begins_transaction", "requires_one_transaction"},
    ),
    ("SAVEPOINT 1", "SAVEPOINT", {"requires_one_transaction"}),
    ("LOCK TABLES t WRITE", "LOCK TABLE", {"requires_one_transaction"}),
    ("DECLARE 1", "DECLARE CURSOR", {"requires_one_transaction"}),
    ("COPY t FROM", "COPY", {"may_write", "requires_one_transaction"}),
    ("FETCH 1 2", "FETCH", set()),
    ("CLOSE 1", "CLOSE CURSOR", set()),
    ("VACUUM (FULL) t u", "VACUUM", {"may_write", "is_ddl", "rewrites_table"}),
    ("VACUUM t u", "VACUUM", {"may_write", "is_ddl"}),
    ("CLUSTER t u v", "CLUSTER", {"may_write", "is_ddl", "rewrites_table"}),
    ("REINDEX t", "REINDEX", {"may_write", "is_ddl", "rewrites_table"}),
    ("REINDEX CONCURRENTLY t", "REINDEX", {"may_write", "is_ddl", "is_concurrent"}),
    ("TRUNCATE t WHERE a", "TRUNCATE TABLE", {"may_write", "is_ddl", "is_truncate"}),
    (
        "ALTER TABLE t ALTER c TYPE int USING c::int, x",
        "ALTER TABLE",
        {"may_write", "is_ddl", "changes_column_type_with_using"},
    ),
    (
        "CREATE TABLE IF NOT EXISTS t (a int AUTO_INCREMENT)",
        "CREATE TABLE",
        {"may_write", "is_ddl", "if_not_exists"},
    ),
    (
        "CREATE TEMPORARY TABLE t (a int AUTO_INCREMENT)",
        "CREATE TABLE",
        {"may_write", "is_ddl", "requires_one_transaction"},
    ),
    ("CREATE OR REPLACE PROPERTY GRAPH g", "CREATE", {"may_write", "is_ddl"}),
    ("CREATE USER a b", "CREATE ROLE", {"may_write", "is_ddl"}),
]
PROPERTIES = [
    "is_read",
    "may_write",
    "is_session_setting",
    "is_local_setting",
    "sets_role",
    "is_ddl",
    "requires_one_transaction",
    "ends_transaction",
    "rolls_back",
    "begins_transaction",
    "rewrites_table",
    "is_truncate",
    "if_not_exists",
    "is_concurrent",
    "changes_column_type_with_using",
]


@pytest.mark.parametrize(("text", "kind", "properties"), WORDS)
def test_the_first_words_decide(text: str, kind: str, properties: set[str]) -> None:
    """They are those that PostgreSQL decides by, after comments and parentheses."""
    statement = parse(f"/* DROP /* x */ TABLE t */ {text}")
    assert statement.opaque
    assert statement.kind == kind
    assert {name for name in PROPERTIES if getattr(statement, name)} == properties


@pytest.mark.parametrize(
    ("text", "setting", "custom", "as_session"),
    [
        ("SET LOCAL a.b 1", "a.b", ("a.b",), "SET SESSION a.b 1"),
        ("SET LOCAL TIME ZONE 1 2 3", "TimeZone", (), "SET SESSION TIME ZONE 1 2 3"),
        ("RESET", "", (), ""),
        ("SELECT set_config('a.b', 'c', false) x y", "a.b", ("a.b",), ""),
    ],
)
def test_settings(text: str, setting: str, custom: tuple[str, ...], as_session: str) -> None:
    """The parameter is read as well."""
    statement = parse(text)
    assert statement.opaque
    assert (statement.setting, statement.custom_settings) == (setting, custom)
    assert statement.as_session_setting == as_session


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("CREATE VIEW IF NOT EXISTS a.v AS", ["created VIEW a v"]),
        ("CREATE TRIGGER x BEFORE INSERT ON a.t FOR", ["created TRIGGER a t x"]),
        ("CREATE POLICY p ON t x", ["created POLICY None t p"]),
        ("CREATE RULE r AS ON INSERT TO a.t DO", ["created RULE a t r"]),
        ("CREATE INDEX i ON ONLY a.t (x y z)", ["created INDEX a i"]),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (x y z)", ["created INDEX None i"]),
        ("CREATE INDEX ON a.t (x y z)", ["created INDEX a"]),
        ('CREATE MATERIALIZED VIEW "A"."b.c" x', ["created MATERIALIZED VIEW A b.c"]),
        ("DROP VIEW a, b.c x y", ["removed VIEW None a", "removed VIEW b c"]),
        (
            "DROP FUNCTION f(int, text), g(x y",
            ["removed FUNCTION None f", "removed FUNCTION None g"],
        ),
        ("DROP RULE r ON a.t x y", ["removed RULE a t r"]),
        ("DROP TRIGGER IF EXISTS r ON t x y", ["removed TRIGGER None t r"]),
        ("ALTER TABLE t ALTER c SET DEFAULT 1 2", ["created DEFAULT None t c"]),
        (
            "ALTER TABLE t ALTER COLUMN c DROP DEFAULT, x",
            ["removed DEFAULT None t c", "changed TABLE None t"],
        ),
        ("ALTER TABLE t ALTER c TYPE int 1", ["changed COLUMN None t c"]),
        ("ALTER TABLE t ALTER CONSTRAINT c NOT ENFORCED x", ["changed TABLE None t"]),
        ("ALTER TABLE t DROP CONSTRAINT IF EXISTS c x y", ["removed CONSTRAINT None t c"]),
        ("ALTER TABLE t ADD UNIQUE (a, b) x y", ["created CONSTRAINT None t"]),
        ("ALTER VIEW v x", ["changed VIEW None v"]),
        ("CREATE VIEW", []),
        ("DROP TRIGGER x", []),
        ("CREATE x", []),
    ],
)
def test_changes(text: str, changes: list[str]) -> None:
    """The beginning of a statement names its object."""
    statement = parse(text)
    assert statement.opaque
    found = [(change.action.value, change.object) for change in statement.changes]
    assert changes == [
        " ".join(filter(None, [action, one.kind, str(one.schema), one.name, one.part]))
        for action, one in found
    ]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; x y; SELECT 2", ["SELECT 1", "x y", "SELECT 2"]),
        (r"x y; SELECT E'\';', ';', $a$;$$;$a$", ["x y", r"SELECT E'\';', ';', $a$;$$;$a$"]),
        ('x y; SELECT ";""";', ["x y", 'SELECT ";"""']),
        (
            "x y; -- a; b\nSELECT 1 /* ; /* ; */ ; */",
            ["x y", "-- a; b\nSELECT 1 /* ; /* ; */ ; */"],
        ),
        ("x (a; b); SELECT 1", ["x (a; b)", "SELECT 1"]),
        (
            f"x y; {ATOMIC}; SELECT 3",
            ["x y", ATOMIC, "SELECT 3"],
        ),
        ("x y; SELECT %s; SELECT 'é'", ["x y", "SELECT %s", "SELECT 'é'"]),
    ],
)
def test_only_the_unknown_statement_is_opaque(text: str, statements: list[str]) -> None:
    """The others are parsed."""
    statement = parse(text)
    assert statement.opaque
    assert [each.text for each in statement.each] == statements
    assert [each.text for each in statement.each if each.opaque] in (statements[:1], ["x y"])


@pytest.mark.parametrize("text", ["SELECT 1\0; DROP TABLE t", "SELECT '\ud800'", "SELECT 'a"])
def test_texts_that_no_driver_can_send_are_opaque(text: str) -> None:
    """The parser would read up to the NUL alone."""
    assert parse(text).opaque


def test_a_text_that_is_too_long_is_judged_by_its_beginning() -> None:
    """It isn't parsed; several statements are no read and no setting."""
    rest = ", ".join(["1"] * 500_000)
    read, written = parse(f"SELECT {rest}"), parse(f"INSERT INTO t VALUES ({rest});")
    assert (read.kind, read.is_read, read.opaque) == ("SELECT", True, True)
    assert (written.kind, written.is_read, written.may_write) == ("INSERT", False, True)
    several = parse(f"SELECT {rest}; DROP TABLE t")
    assert (several.kind, several.is_read, several.may_write) == ("", False, True)
    several = parse(f"SET a.b = 1; INSERT INTO t VALUES ({rest})")
    assert not several.is_session_setting
    assert parse(f"CREATE TABLE t (); INSERT INTO t VALUES ({rest})").is_ddl


@pytest.mark.parametrize(
    ("sql", "masked"),
    [
        ("SELECT 'a''b', 12.5, x1, 1e5", "SELECT ?, ?, x1, 1e5"),
        (r"SELECT E'it\'s', 'a'", "SELECT E?s?a'"),
        ("SELECT $$a 1$$, \"b 2\" -- 'c'", 'SELECT $$a ?$$, "b ?" -- ?'),
        ("INSERT INTO t VALUES ('a', -1, .5)", "INSERT INTO t VALUES (?, -?, .?)"),
    ],
)
def test_masked_literals_never_change(sql: str, masked: str) -> None:
    """The result is stored, right or wrong."""
    assert mask_literals(sql) == masked


def test_tokens() -> None:
    """White space and comments are none, and all else is."""
    text = r"""SELECT a."B""c", U&"d\0061t", 'x''y', E'\'', $a$b$a$, %s, %(c)s, $1, 1.5 >= 2::int
        -- d
        /* e"""
    tokens = list(tokenize(text))
    values = [token.value for token in tokens if token.kind in {TokenKind.WORD, TokenKind.NAME}]
    assert values == ["select", "a", 'B"c', "dat", "int"]
    contents = [token.content for token in tokens if token.kind is TokenKind.STRING]
    assert contents == ["x'y", "\\'", "b"]
    parameters = [token.text for token in tokens if token.kind is TokenKind.PARAMETER]
    assert parameters == ["%s", "%(c)s", "$1"]
    assert [token.text for token in tokens][-4:] == [">=", "2", "::", "int"]
    assert all(text[token.start : token.end] == token.text for token in tokens)


def test_nesting_counts_the_deepest_chain() -> None:
    """Commas begin a chain again, and parentheses and joins add up."""
    assert nesting("SELECT " + ", ".join(["(1 + 2)"] * 1_000)) < 10
    assert nesting("SELECT 1" + " + 1" * 1_000) >= 1_000
    assert nesting("SELECT 1, 2" + " UNION SELECT 1, 2" * 1_000) >= 1_000
    assert nesting("(" * 1_000 + ")" * 1_000) >= 1_000


PIECES = st.sampled_from(
    [
        *[
            "SELECT 1",
            "x y",
            "'a;b'",
            "$$;$$",
            "$a$;$$;$a$",
            '";"',
            "-- a;\n",
            "/* ; /* ; */ */",
            r"E'\';'",
        ],
        *[
            "(",
            ")",
            ";",
            "'",
            '"',
            "$$",
            "/*",
            "%s",
            "%(a)s",
            "%%",
            "BEGIN ATOMIC",
            "END",
            "CASE",
            "\\",
            "\0",
        ],
        *[
            "DROP TABLE t",
            "SET LOCAL a.b = 1",
            "set_config(",
            "CREATE",
            "ALTER TABLE t",
            "é",
            "\ud800",
            "U&",
        ],
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join))


@given(TEXTS)
def test_no_text_is_refused(text: str) -> None:
    """Each has an answer, and the same as one that can't be parsed."""
    for statement in (parse(text), opaque_statement(text)):
        assert isinstance(statement.kind, str)
        assert not (statement.is_read and statement.may_write)


@given(TEXTS)
def test_tokens_are_pieces_of_the_text(text: str) -> None:
    """Between them are white space and comments only."""
    position = 0
    for token in tokenize(text):
        assert position <= token.start < token.end <= len(text)
        assert text[token.start : token.end] == token.text
        between = text[position : token.start].strip()
        assert not between or between.startswith(("--", "/*"))
        position = token.end


STATEMENTS = st.sampled_from(
    [
        "SELECT 1",
        "SELECT 'a;b' -- c;",
        "INSERT INTO t VALUES ($$;$$)",
        "DROP VIEW v",
        r"SELECT E'it\'s; DROP TABLE q'",
        "CREATE RULE r AS ON DELETE TO t DO ALSO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END",
        "/* a; /* b; */ */ UPDATE \"é;\" SET a = 'ü'",
        "ALTER TABLE t ADD a int GENERATED ALWAYS AS (b) VIRTUAL",
        "SELECT %s, %(a)s",
    ]
)


@given(st.lists(STATEMENTS))
def test_joined_statements_are_split_again(statements: list[str]) -> None:
    """By the parser and by tokens alike."""
    text = "\n;\n".join(statements)
    assert split(text) == statements
    if statements:
        assert [each.text for each in parse(text).each] == statements
        alone = [parse(statement) for statement in statements]
        assert [each.kind for each in parse(text).each] == [each.kind for each in alone]


@given(st.text())
def test_a_quoted_text_is_one_token(text: str) -> None:
    """As a string, a name, or a dollar-quoted string."""
    for written in ("'" + text.replace("'", "''") + "'", '"' + text.replace('"', '""') + '"'):
        assert [token.text for token in tokenize(written)] == [written]
    if "$q$" not in f"{text}$":
        assert [token.content for token in tokenize(f"$q${text}$q$")] == [text]
