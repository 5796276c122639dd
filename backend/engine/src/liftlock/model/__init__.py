"""Frozen values of a run: operations, steps, tables, revisions. No input or output."""
