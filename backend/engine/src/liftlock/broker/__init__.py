"""A process that holds the address of a real database, and answers questions about its rows."""
