"""Check: judge revisions by what PostgreSQL reports when they run on a shadow."""
