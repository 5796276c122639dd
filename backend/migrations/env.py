"""Alembic's environment. liftlock runs it, so that `alembic upgrade head` is safe too."""

from liftlock import env
from recaller.models import Base

env.run(target_metadata=Base.metadata)
