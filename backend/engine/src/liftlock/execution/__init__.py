"""Runs one revision, step by step."""
