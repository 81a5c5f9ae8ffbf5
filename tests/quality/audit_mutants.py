"""Mutants, each of which breaks one mechanism of the audits, and the test that must notice.

Each is one text replacement in a copy of the repository, in which `test_audit_mutants.py` runs the
test.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.replay.mutants import Mutant

AUDITS = "macros/audits/"
INTERNAL = AUDITS + "internal/"
KNOWN = INTERNAL + "is_known_to_pass.sql"
WRITE = INTERNAL + "record_write.sql"
TABLES = INTERNAL + "tested_tables.sql"
JUDGE = INTERNAL + "judge_rows.sql"
SINCE = INTERNAL + "keys_since_test.sql"
ROWS = INTERNAL + "rows_to_test.sql"
OF_RUN = "macros/project/internal/tests_of_run.sql"
TEST = "macros/postgres/materializations/test.sql"
CATALOG = "macros/postgres/catalog/"

ON_WRITTEN = "test_audits.py::"
ON_CHANGES = "test_tests_of_changes.py::"
EVASIONS = "test_evasions.py::"
OF_CHANGES = "test_evasions_of_changes.py::"
LEFT_OUT = "test_left_out_tests.py::"


@dataclass(frozen=True)
class AuditMutant(Mutant):
    """A mechanism of the audits to break.

    `killed_by` is the test that fails, relative to `tests/quality/`.
    """

    killed_by: str = ""


def mutant(name: str, file: str, old: str, new: str, killed_by: str) -> AuditMutant:
    return AuditMutant(name, file, old, new, killed_by=killed_by)


MUTANTS = (
    # --- What a build knows of the whole table
    mutant(
        "an epoch is not compared",
        KNOWN,
        "(held.epoch, held.writes) = (child.epoch, child.writes)",
        "held.writes = child.writes",
        ON_WRITTEN + "test_one_test_does_not_answer_for_another",
    ),
    mutant(
        "writes are not compared",
        KNOWN,
        "(held.epoch, held.writes) = (child.epoch, child.writes)",
        "held.epoch = child.epoch",
        ON_WRITTEN + "test_a_run_without_tests_and_dbt_test[run]",
    ),
    mutant(
        "lost keys are not compared",
        KNOWN,
        "and losses = held.parent_losses and",
        "and",
        ON_WRITTEN + "test_a_lost_parent_is_found",
    ),
    mutant(
        "lost keys are not counted",
        WRITE,
        "losses = known.losses + {{ lost_keys }} + case",
        "losses = known.losses + case",
        ON_WRITTEN + "test_a_lost_parent_is_found",
    ),
    mutant(
        "counted changes are not compared",
        KNOWN,
        "and counted_changes = {{ counted_changes(relation) }}\n",
        "",
        ON_WRITTEN + "test_a_bad_row_of_another_hand_is_found",
    ),
    mutant(
        "files are not compared",
        KNOWN,
        "storage <@ {{ state_of_table(relation) }}\n        and ",
        "",
        EVASIONS + "test_another_table_in_its_place",
    ),
    mutant(
        "fingerprints are not compared",
        KNOWN,
        "and held.fingerprint = '{{ fingerprint_of_test(test) }}'\n",
        "",
        EVASIONS + "test_values_of_a_variable",
    ),
    mutant(
        "whole_tests_every is ignored",
        INTERNAL + "is_recent.sql",
        """clock_timestamp() - interval '{{ var("whole_tests_every") }}'""",
        "clock_timestamp() - interval '100 years'",
        ON_WRITTEN + "test_everything_is_read_again_in_time",
    ),
    mutant(
        "a pass of the future counts",
        INTERNAL + "is_recent.sql",
        "        and {{ passed_whole_at }} <= clock_timestamp()\n",
        "",
        EVASIONS + "test_a_clock_that_went_back",
    ),
    mutant(
        "a run of all keys begins no epoch",
        WRITE,
        "{{ is_as_left if not begins_epoch else 'false' }}",
        "{{ is_as_left }}",
        ON_CHANGES + "test_all_keys_begin_an_epoch",
    ),
    mutant(
        "changes of hooks count as the run's own",
        WRITE,
        "        ~ ' and not ' ~ is_changed_by_others -%}",
        " -%}",
        OF_CHANGES + "test_a_hook",
    ),
    mutant(
        "columns are not compared",
        CATALOG + "state_of_table.sql",
        "'columns ' || coalesce(string_agg(format('%s %s %s', attnum, attname, atttypid), ','"
        " order by attnum), '')",
        "'columns'",
        EVASIONS + "test_another_hand[changes0]",
    ),
    mutant(
        "a reset of the counters is not noticed",
        CATALOG + "state_of_table.sql",
        "coalesce(extract(epoch from pg_stat_get_db_stat_reset_time(oid)), 0)",
        "0",
        EVASIONS + "test_another_hand[changes4]",
    ),
    mutant(
        "tables that inherit are not counted",
        CATALOG + "counted_changes.sql",
        "    union\n    select inhrelid from pg_inherits where inhparent ="
        " {{ regclass_of(relation) }}\n",
        "",
        EVASIONS + "test_another_hand[changes2]",
    ),
    # --- What is asked before the commit
    mutant(
        "a failing test counts as passed",
        JUDGE,
        " if results[test.unique_id]['failures'] == 0 -%}",
        " -%}",
        ON_WRITTEN + "test_a_warning_writes_and_is_counted",
    ),
    mutant(
        "a pass is recorded over a write that was not asked",
        WRITE,
        "        and held.writes = tables.writes - 1\n",
        "",
        ON_WRITTEN + "test_a_run_without_tests_before_one_with_tests",
    ),
    mutant(
        "severity is ignored",
        JUDGE,
        "test.config.severity | lower == 'error' and ",
        "",
        ON_WRITTEN + "test_a_warning_writes_and_is_counted",
    ),
    mutant(
        "no test rolls back",
        JUDGE,
        "    {%- if errors -%}",
        "    {%- if false -%}",
        ON_WRITTEN + "test_a_failing_row_is_never_seen",
    ),
    mutant(
        "thresholds count the rows of the run",
        JUDGE,
        "run_query(query_of_test(test, this))[0]['should_error']",
        "result['should_error']",
        ON_WRITTEN + "test_thresholds_mean_what_dbt_says",
    ),
    mutant(
        "a failing node is recorded as passed",
        TEST,
        "{%- if found['failures'] == 0 and not",
        "{%- if true or not",
        ON_WRITTEN + "test_a_bad_row_of_another_hand_is_found",
    ),
    mutant(
        "a table beside is not awaited",
        JUDGE,
        "(is_staged(model) or place_of_parent(test) == 'below')",
        "true",
        ON_WRITTEN + "test_a_parent_that_the_model_does_not_read_may_be_built_later",
    ),
    mutant(
        "a known pass has no thresholds",
        TEST,
        "0 {{ config.get('error_if') }} as should_error",
        "false as should_error",
        EVASIONS + "test_a_test_that_must_find_rows",
    ),
    # --- Which tests
    mutant(
        "a subquery is taken for a value",
        OF_RUN,
        "\\\\bselect\\\\b|",
        "",
        ON_WRITTEN + "test_what_depends_on_other_rows_or_the_time_is_read_whole",
    ),
    mutant(
        "functions are taken for steady",
        OF_RUN,
        "and provolatile != 'i'",
        "and false",
        EVASIONS + "test_arguments_that_read_other_rows",
    ),
    mutant(
        "the name of a test is enough",
        OF_RUN,
        "        'macro.' ~ (test.test_metadata.namespace or 'dbt') ~ '.test_' ~ name in"
        " test.depends_on.macros\n        and ",
        "        ",
        EVASIONS + "test_a_test_of_ones_own_with_a_known_name",
    ),
    mutant(
        "failures need not be rows",
        OF_RUN,
        "or test.config.fail_calc != 'count(*)' -%}",
        "-%}",
        EVASIONS + "test_failures_that_add_up_to_nothing",
    ),
    # --- What is asked of what changed
    mutant(
        "nobody hears of a table that was rebuilt",
        TABLES,
        "and key_changes.changed_keys is null",
        "and false",
        ON_CHANGES + "test_a_rebuilt_table_is_told",
    ),
    mutant(
        "the epoch of a table is not compared with that of a test",
        TABLES,
        "filter (where tested_keys.epoch != tested_tables.epoch)",
        "filter (where false)",
        ON_CHANGES + "test_another_hand_a_rebuild_and_a_changed_test_are_told",
    ),
    mutant(
        "the definition of a test is not compared",
        TABLES,
        "bool_or(tested_keys.fingerprint != tested_tables.fingerprint)",
        "false",
        ON_CHANGES + "test_another_hand_a_rebuild_and_a_changed_test_are_told",
    ),
    mutant(
        "keys of the second table are left out",
        SINCE,
        "{%- for node in nodes -%}",
        "{%- for node in nodes[:1] -%}",
        ON_CHANGES + "test_keys_of_each_table_are_asked",
    ),
    mutant(
        "every change counts as seen",
        SINCE,
        "and {{ is_unseen_xid('key_changes.written_by', 'tested_keys.run_snapshot') }}",
        "and false",
        ON_CHANGES + "test_a_changed_key_is_asked_of_until_it_passes",
    ),
    mutant(
        "a table need not be followed",
        TABLES,
        "{%- if is_there and not test.attached_node -%}",
        "{%- if false -%}",
        ON_CHANGES + "test_misuses_are_named",
    ),
    mutant(
        "the lock of the log is not taken",
        TABLES,
        "        select pg_advisory_lock_shared("
        """hashtext('{{ state_relation("key_changes") }}'));\n""",
        "",
        ON_CHANGES + "test_no_other_run_prunes_the_log_while_a_test_reads",
    ),
    mutant(
        "the log is pruned without the tests",
        "macros/incremental/internal/prune_changed_keys.sql",
        "{%- set has_tests = load_relation(tested_keys) is not none %}",
        "{%- set has_tests = false %}",
        ON_CHANGES + "test_a_test_keeps_the_keys_that_it_has_not_read",
    ),
    mutant(
        "a staged row without a stamp counts as seen",
        SINCE,
        "(_loaded_at is null or {{ is_unseen_load",
        "({{ is_unseen_load",
        ON_CHANGES + "test_loaded_rows_are_asked_of",
    ),
    mutant(
        "only loaded rows of a key are asked whether it is unique",
        ROWS,
        "{{ return(column ~ ' in (select ' ~ column ~ ' from ' ~ relation ~ ' where ' ~"
        " is_loaded_since_test(node) ~ ')') }}",
        "{{ return(is_loaded_since_test(node)) }}",
        ON_CHANGES + "test_loaded_rows_are_asked_of",
    ),
    mutant(
        "references to a row that is gone are not asked",
        ROWS,
        " ~ ' union ' ~ keys_since_test([field], [parent]) ~ ')'",
        " ~ ')'",
        ON_CHANGES + "test_a_reference_whose_row_is_gone_is_asked_by_its_key",
    ),
    mutant(
        "rows with a null key are not asked",
        AUDITS + "keys_to_test.sql",
        "if keys.has_nulls else is_in",
        "if false else is_in",
        OF_CHANGES + "test_a_key_that_is_null",
    ),
    mutant(
        "seeds are not compared",
        TABLES,
        "                '{{ definition }}' || {{ fingerprint_of(relation_of_node(node)) }}",
        "                '{{ definition }}'",
        OF_CHANGES + "test_what_a_test_reads_besides[seed]",
    ),
    mutant(
        "a deferred build counts",
        "macros/project/internal/is_deferred.sql",
        "invocation_args_dict.get('defer')",
        "false",
        OF_CHANGES + "test_a_deferred_build",
    ),
    mutant(
        "an invalid constraint guarantees",
        INTERNAL + "guarantee_of.sql",
        "and not convalidated and",
        "and false and",
        ON_CHANGES + "test_a_constraint_that_is_not_valid_guarantees_nothing",
    ),
    # --- What a daily build leaves to the models
    mutant(
        "the models ask nothing",
        INTERNAL + "tests_left_to_model.sql",
        "| list if leaves_tests_out() else []",
        "| list if false else []",
        LEFT_OUT + "test_a_quiet_day_visits_no_test",
    ),
    mutant(
        "no loaded row is asked",
        INTERNAL + "marks_of_loads.sql",
        "{%- do conditions.append('(' ~ is_unseen_load(mark, '_row_xid') ~ ')') -%}",
        "",
        LEFT_OUT + "test_a_loaded_row_stops_its_staging_model",
    ),
    mutant(
        "another view is taken for the same",
        INTERNAL + "marks_of_loads.sql",
        "            and held.fingerprint = known.definition || this_view.fingerprint"
        " || known.lookups\n",
        "",
        LEFT_OUT + "test_another_view_is_not_known",
    ),
    mutant(
        "the answers of an earlier run count",
        "macros/results/internal/results_left_out.sql",
        "        where invocation_id = '{{ invocation_id }}'\n        union",
        "        union",
        LEFT_OUT + "test_another_view_is_not_known",
    ),
    mutant(
        "a table keeps rows that fail",
        "macros/hooks/before_commit.sql",
        " + audit_left_out_tests()",
        "",
        LEFT_OUT + "test_a_table_is_not_replaced_by_rows_that_fail",
    ),
    mutant(
        "what a staging view refers to is taken for a table beside it",
        JUDGE,
        "(is_staged(model) or place_of_parent(test) == 'below')",
        "place_of_parent(test) == 'below'",
        LEFT_OUT + "test_a_loaded_row_stops_its_staging_model",
    ),
    mutant(
        "tests of seeds that were not loaded count",
        "macros/results/internal/results_left_out.sql",
        "{%- if read and read | reject('in', loaded) | list | length == 0 -%}",
        "{%- if read -%}",
        LEFT_OUT + "test_seeds_that_were_not_loaded",
    ),
    mutant(
        "only loaded rows of a view that combines rows are asked",
        AUDITS + "audit_left_out_tests.sql",
        " and not combines_rows(model)",
        "",
        LEFT_OUT + "test_a_view_that_combines_rows_is_asked_whole",
    ),
)
