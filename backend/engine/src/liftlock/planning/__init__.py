"""Plan operations as steps: pure functions without input or output."""
