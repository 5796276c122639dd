"""Alembic: the project's history, and the seam at which its operations are recorded."""
