"""Formats of a check's report: one module for each, with a function that returns the text."""

from __future__ import annotations

from collections.abc import Callable

from liftlock.check.formats import github, html, json, junit, markdown, sarif
from liftlock.check.report import Report

FORMATS: dict[str, Callable[[Report], str]] = {
    "github": github.write,
    "html": html.write,
    "json": json.write,
    "junit": junit.write,
    "markdown": markdown.write,
    "sarif": sarif.write,
}
