"""One account for each e-mail address."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE accounts SET email = lower(email) WHERE email <> lower(email)")
    op.create_unique_constraint(None, "accounts", ["email"])


def downgrade() -> None:
    op.drop_constraint(op.f("uq_accounts_email"), "accounts")
