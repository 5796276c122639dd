"""The service's own settings. The database's address is one of liftlock's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings from environment variables that begin with ``RECALLER_``."""

    model_config = SettingsConfigDict(env_prefix="RECALLER_")

    host: str = "0.0.0.0"  # noqa: S104 - a container's service is reached from outside of it
    port: int = 8000
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    secret: SecretStr | None = None
    """Signs the tokens. By default a key is generated once and kept in the database."""
    token_minutes: int = 60 * 24
    pool_size: int = 5
