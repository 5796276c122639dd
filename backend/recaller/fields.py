"""Input types with limits that PostgreSQL's types can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field, StringConstraints

_BIGINT = 2**63 - 1


def _reject_nul(value: str) -> str:
    """Raise for the one character that PostgreSQL's text can't hold."""
    if "\x00" in value:
        message = "must not hold the character NUL"
        raise ValueError(message)
    return value


Plain = AfterValidator(_reject_nul)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Plain]
Line = Annotated[str, StringConstraints(max_length=500), Plain]
Prose = Annotated[str, StringConstraints(max_length=20_000), Plain]
Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=50), Plain
]
Key = Annotated[int, Path(ge=1, le=_BIGINT, examples=[17])]
Reference = Annotated[int, Field(ge=1, le=_BIGINT)]
