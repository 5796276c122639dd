"""The service's own settings. Where the database is, liftlock's settings say, for all strategies alike."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from variables that begin with ``RECALLER_``."""

    model_config = SettingsConfigDict(env_prefix="RECALLER_")

    host: str = "0.0.0.0"
    port: int = 8000
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    secret: SecretStr | None = None
    """Signs the tokens. Without it a key is made once and kept in the database, shared by all replicas."""
    token_minutes: int = 60 * 24
    pool_size: int = 5
