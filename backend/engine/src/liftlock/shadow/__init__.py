"""Throwaway databases ("shadows"), and what PostgreSQL reports while revisions run on them."""
