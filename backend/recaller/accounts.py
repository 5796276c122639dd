"""Accounts: registration and login. No other module handles passwords or tokens."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated

import jwt
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pwdlib import PasswordHash
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from recaller.database import Session
from recaller.fields import Name
from recaller.models import Account, SigningKey
from recaller.problems import responses

router = APIRouter(tags=["accounts"])
_hasher = PasswordHash.recommended()
_UNKNOWN = _hasher.hash(secrets.token_urlsafe())
"""Compared when no account has the address, so that both cases take the same time."""
_bearer = OAuth2PasswordBearer(tokenUrl="token")
_ALGORITHM = "HS256"


class Registration(BaseModel):
    """The input that opens an account."""

    email: EmailStr = Field(max_length=254, examples=["ada@example.com"])
    name: Name = Field(examples=["Ada"])
    password: str = Field(min_length=10, max_length=200, examples=["correct horse battery"])


class Me(BaseModel):
    """An account, without its password."""

    id: int
    email: str
    name: str
    created_at: dt.datetime


class Token(BaseModel):
    """A token, to send as `Authorization: Bearer …`."""

    access_token: str
    token_type: str = Field(default="bearer")


async def signing_key(engine: AsyncEngine) -> str:
    """Return the key that all replicas share; the first replica to start generates it."""
    async with engine.begin() as connection:
        insertion = (
            insert(SigningKey)
            .values(id=1, secret=secrets.token_urlsafe(48))
            .on_conflict_do_nothing()
        )
        await connection.execute(insertion)
        return str((await connection.execute(select(SigningKey.secret))).scalar_one())


async def _account(
    request: Request, session: Session, token: Annotated[str, Depends(_bearer)]
) -> Account:
    """Return the account of a request's token, or raise a 401."""
    problem = HTTPException(
        401, "Log in: the token is missing, wrong or expired.", {"WWW-Authenticate": "Bearer"}
    )
    try:
        claims = jwt.decode(
            token, request.app.state.secret, [_ALGORITHM], options={"require": ["exp", "sub"]}
        )
        account = await session.get(Account, int(claims["sub"]))
    except (jwt.InvalidTokenError, ValueError):
        raise problem from None
    if account is None:
        raise problem
    return account


Owner = Annotated[Account, Depends(_account)]
"""The account that the request's token belongs to."""


@router.post("/accounts", status_code=201, responses=responses(400, 409, 422))
async def register(registration: Registration, session: Session) -> Me:
    """Open an account."""
    values = {
        "email": registration.email.lower(),
        "name": registration.name,
        "password_hash": _hasher.hash(registration.password),
    }
    account = await session.scalar(
        insert(Account).values(values).on_conflict_do_nothing().returning(Account)
    )
    if account is None:
        raise HTTPException(409, "An account with this e-mail address exists already.")
    return Me.model_validate(account, from_attributes=True)


@router.post("/token", responses=responses(400, 401, 422))
async def log_in(
    request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()], session: Session
) -> Token:
    """Exchange an e-mail address and a password for a token."""
    email = form.username.lower().replace("\x00", "")
    account = await session.scalar(select(Account).where(Account.email == email))
    password_hash = account.password_hash if account else _UNKNOWN
    is_correct = _hasher.verify(form.password, password_hash)
    if account is None or not is_correct:
        raise HTTPException(
            401, "E-mail address or password is wrong.", {"WWW-Authenticate": "Bearer"}
        )
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(
        minutes=request.app.state.settings.token_minutes
    )
    claims = {"sub": str(account.id), "exp": expires}
    return Token(access_token=jwt.encode(claims, request.app.state.secret, _ALGORITHM))


@router.get("/me", responses=responses(401))
async def who_am_i(owner: Owner) -> Me:
    """Return the account that the token belongs to."""
    return Me.model_validate(owner, from_attributes=True)
