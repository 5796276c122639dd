"""A process that holds the address of a real database and answers requests about its rows."""
