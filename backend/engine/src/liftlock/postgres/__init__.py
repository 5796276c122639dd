"""The database: sessions, single flight, the ledger, the throwaway server."""
