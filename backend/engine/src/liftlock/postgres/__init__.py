"""liftlock's own sessions and SQL: single flight, the ledger, the catalog, and backfills."""
