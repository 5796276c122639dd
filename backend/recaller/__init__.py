"""Recaller: the people you meet, the encounters you had, and when to get back in touch."""
