"""Tests of schemas as text: the output of pg_dump is split and made comparable."""

from __future__ import annotations

from liftlock.shadow.dump import difference, objects_in

DUMP = r"""--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM 1;
  -- Name: this is a comment
END;
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: item; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.item (
    id integer NOT NULL,
    code text DEFAULT 'a'::text,
    area integer
)
PARTITION BY RANGE (id);


--
-- Name: ix_item; Type: INDEX; Schema: public; Owner: -; Tablespace: fast
--

CREATE INDEX ix_item ON public.item USING btree (code);


--
-- PostgreSQL database dump complete
--

\unrestrict abc
"""
FUNCTION, TABLE, INDEX = objects_in(DUMP)


def test_function_body_stays_in_one_object() -> None:
    """Semicolons and comments in the body don't end it."""
    assert FUNCTION.startswith("CREATE FUNCTION public.f()")
    assert FUNCTION.endswith("END;\n$$;")
    assert "PERFORM 1;\n  -- Name: this is a comment" in FUNCTION


def test_columns_are_sorted() -> None:
    """Their order can't be changed, so it is no difference."""
    assert TABLE == (
        "CREATE TABLE public.item (\n    area integer\n    code text DEFAULT 'a'::text\n"
        "    id integer NOT NULL\n)\nPARTITION BY RANGE (id);"
    )


def test_settings_and_comments_are_left_out() -> None:
    """Only definitions remain."""
    assert INDEX == "CREATE INDEX ix_item ON public.item USING btree (code);"


def test_empty_dump_has_no_objects() -> None:
    """Such as that of an empty database."""
    assert objects_in(DUMP[: DUMP.index("--\n-- Name")]) == []


def test_difference_marks_lines_like_a_diff() -> None:
    """Lines of both texts, and headers, are left out."""
    assert difference("a\nb\nc", "a\nc\nd") == ("-b", "+d")
    assert difference("a", "a") == ()
