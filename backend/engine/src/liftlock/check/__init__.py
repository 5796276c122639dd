"""Judging revisions: data checks, rules, and reports."""
