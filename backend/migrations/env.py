"""Alembic's environment: all of it is liftlock's, so that plain ``alembic upgrade head`` is as safe as the rest."""

from liftlock import env
from recaller.models import Base

env.run(target_metadata=Base.metadata)
