"""The rules of ``liftlock check``: one module for each, named as its code."""

from __future__ import annotations

from liftlock.check.rules import (
    blocks_traffic,
    breaks_running_release,
    data_loss,
    downgrade_differs,
    edited_after_merge,
    foreign_key_without_index,
    left_invalid,
    mixed_phases,
    models_differ,
    multiple_heads,
    multiple_table_locks,
    new_constraint,
    new_trigger,
    no_downgrade,
    no_offline_sql,
    not_deterministic,
    not_null_without_default,
    reads_database,
    revision_fails,
    rows_not_checked,
    rows_violate,
    statistics_lost,
    timezone_dependent,
)
from liftlock.check.rules.examples import TABLES
from liftlock.check.rules.rule import FindingType, Rule

__all__ = ["ALL_RULES", "RULES", "TABLES"]

RULES: tuple[Rule, ...] = (
    blocks_traffic.RULE,
    revision_fails.RULE,
    not_null_without_default.RULE,
    left_invalid.RULE,
    multiple_table_locks.RULE,
    statistics_lost.RULE,
    breaks_running_release.RULE,
    mixed_phases.RULE,
    new_constraint.RULE,
    new_trigger.RULE,
    timezone_dependent.RULE,
    data_loss.RULE,
    foreign_key_without_index.RULE,
    no_downgrade.RULE,
    downgrade_differs.RULE,
    not_deterministic.RULE,
    reads_database.RULE,
)
"""Rules that judge a revision by its effects on a shadow, in the order of a report."""

ALL_RULES: tuple[FindingType, ...] = (
    *RULES,
    edited_after_merge.RULE,  # judges by git
    multiple_heads.RULE,  # these three judge the chain as a whole
    models_differ.RULE,
    no_offline_sql.RULE,
    rows_violate.RULE,  # these two judge by the rows of a real database
    rows_not_checked.RULE,
)
