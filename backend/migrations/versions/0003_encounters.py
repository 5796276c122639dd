"""Encounters with people."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

kind = sa.Enum("in_person", "call", "message", name="encounter_kind")


def upgrade() -> None:
    op.create_table(
        "encounters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "account_id",
            sa.BigInteger,
            sa.ForeignKey("accounts.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("kind", kind, server_default="in_person", nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.Text),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("next_steps", sa.Text),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
    )
    op.create_table(
        "encounter_people",
        sa.Column(
            "encounter_id",
            sa.BigInteger,
            sa.ForeignKey("encounters.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "person_id",
            sa.BigInteger,
            sa.ForeignKey("people.id", ondelete="CASCADE"),
            primary_key=True,
        ),
    )


def downgrade() -> None:
    op.drop_table("encounter_people")
    op.drop_table("encounters")
    kind.drop(op.get_bind())
