"""Drop `company`, which `workplace` replaces. Step two of two: no release reads it any more."""

import sqlalchemy as sa
from alembic import op

import liftlock

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE people SET workplace = company WHERE workplace IS NULL AND company IS NOT NULL"
    )
    with liftlock.allow(
        "LL-BREAKS-RUNNING-RELEASE",
        "LL-DATA-LOSS",
        because="since 0012 no release reads it, and all of it is in workplace",
    ):
        op.drop_column("people", "company")


def downgrade() -> None:
    op.add_column("people", sa.Column("company", sa.String(120)))
    op.execute("UPDATE people SET company = left(workplace, 120) WHERE workplace IS NOT NULL")
