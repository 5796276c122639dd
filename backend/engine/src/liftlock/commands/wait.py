"""Wait until the database can be used."""

from liftlock.postgres.wait import wait

__all__ = ["wait"]
