"""Judgement: pure functions from operations to steps."""
