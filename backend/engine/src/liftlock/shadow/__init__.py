"""Throwaway databases, and what PostgreSQL reports there."""
