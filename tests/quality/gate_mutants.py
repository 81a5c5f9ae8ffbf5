"""Mutants, each of which breaks one guard of the publication, the results or the volumes.

Each is one text replacement, and `test_audit_mutants.py` runs the test that must notice.
"""

from __future__ import annotations

from tests.quality.audit_mutants import mutant

REASONS = "macros/publication/internal/reasons_not_to_publish.sql"
STATEMENTS = "macros/publication/internal/statements_of_publication.sql"
PUBLISH = "macros/publication/internal/publish_if_good.sql"
PREPARE = "macros/publication/internal/prepare_publication.sql"
VOLUMES = "macros/results/internal/check_volumes.sql"
RECORD = "macros/results/internal/record_results.sql"
SCORES = "macros/results/internal/record_scores.sql"

ON_PUBLICATION = "test_publication.py::"
ON_VOLUMES = "test_volumes.py::"
ON_RESULTS = "test_results.py::"


GATE_MUTANTS = (
    # --- What holds a publication back
    mutant(
        "a low score is published",
        REASONS,
        "score is not none and score < least",
        "false",
        ON_PUBLICATION + "test_a_low_score_closes_the_gate",
    ),
    mutant(
        "a failing test is published",
        REASONS,
        "where status in ('fail', 'error')",
        "where false",
        ON_PUBLICATION + "test_a_polling_reader_sees_the_last_publication_or_the_next",
    ),
    mutant(
        "untested tables are published",
        REASONS,
        "found['unasked_tests'] if not var('publish_untested') else none",
        "none",
        ON_PUBLICATION + "test_what_no_test_was_asked_of_is_not_published",
    ),
    mutant(
        "the tests of an earlier build count",
        REASONS,
        "where asked.started_at is null or asked.started_at < built.built_at",
        "where asked.started_at is null",
        ON_PUBLICATION + "test_what_no_test_was_asked_of_is_not_published",
    ),
    mutant(
        "a failed model is published",
        REASONS,
        "where status is distinct from 'success'",
        "where false",
        ON_PUBLICATION + "test_a_failed_model_holds_back_what_was_built_beside_it",
    ),
    mutant(
        "a part is published",
        REASONS,
        "where is_table and built_at <= published_at",
        "where false",
        ON_PUBLICATION + "test_a_publication_follows_a_whole_round",
    ),
    mutant(
        "tables of two runs are published",
        REASONS,
        "where is_table and not is_snapshot and invocation_id != (",
        "where false and invocation_id != (",
        ON_PUBLICATION + "test_parts_of_two_days_are_not_published",
    ),
    mutant(
        "a view of former columns is not seen",
        REASONS,
        "where tables.relname = '{{ name_before('') }}' || tables.oid",
        "where false",
        ON_PUBLICATION + "test_a_reporting_view_that_was_not_rebuilt_holds_the_others_back",
    ),
    # --- What is published
    mutant(
        "a publication is no transaction",
        PUBLISH,
        "run_query('begin isolation level repeatable read')",
        "run_query('select 1')",
        ON_PUBLICATION + "test_what_is_judged_is_what_is_published",
    ),
    mutant(
        "keys of the log are forgotten",
        STATEMENTS,
        "{{ return(queries | join(' union ')) }}",
        "{{ return(queries[0] ~ ' and false') }}",
        ON_PUBLICATION + "test_a_publication_writes_the_keys_that_changed",
    ),
    mutant(
        "another definition is not seen",
        STATEMENTS,
        "watermarks.fingerprint = {{ fingerprint_of_candidate(candidate) }}",
        "true",
        ON_PUBLICATION + "test_a_publication_writes_the_keys_that_changed",
    ),
    mutant(
        "another table is not seen",
        STATEMENTS,
        "watermarks.storage = {{ storage_of(published(relation_of_node(candidate))) }}",
        "true",
        ON_PUBLICATION + "test_a_publication_writes_the_keys_that_changed",
    ),
    mutant(
        "two rows of a key are published",
        STATEMENTS,
        "if found is not null then",
        "if false then",
        ON_PUBLICATION + "test_a_candidate_with_two_rows_of_a_key_is_named",
    ),
    mutant(
        "a table that is read begins empty",
        PREPARE,
        "{{ 'with no data' if not found['is_read'] }}",
        "with no data",
        ON_PUBLICATION + "test_reporting_views_of_an_earlier_version_are_never_empty",
    ),
    mutant(
        "former tables stay",
        PUBLISH,
        "drop table {{ api.Relation.create(schema=schema, identifier=row['relname']) }};",
        "null;",
        ON_PUBLICATION + "test_readers_keep_rows_when_columns_change",
    ),
    mutant(
        "the clock of dbt is taken for the server's",
        RECORD,
        "coalesce(started_at + clocks.difference, now())",
        "coalesce(started_at, now())",
        ON_PUBLICATION + "test_the_clocks_of_dbt_and_of_the_server_may_differ",
    ),
    mutant(
        "a project may end its runs without publishing",
        "macros/hooks/internal/check_end_of_run.sql",
        "{%- if not modules.re.search(",
        "{%- if false and modules.re.search(",
        ON_PUBLICATION + "test_a_project_that_would_publish_nothing_is_told",
    ),
    # --- Results and scores
    mutant(
        "written rows are not recorded",
        RECORD,
        "'rows_written': written | int if written is not none and written | int >= 0 else none",
        "'rows_written': none",
        ON_RESULTS + "test_a_run_leaves_what_it_wrote_and_judged",
    ),
    mutant(
        "weights do not weigh",
        SCORES,
        "100 * sum(weight * check_score) / sum(weight)",
        "100 * avg(check_score)",
        ON_RESULTS + "test_the_score_is_what_the_page_says",
    ),
    # --- Volumes
    mutant(
        "lost rows pass",
        VOLUMES,
        "{%- if row['has_lost_rows'] -%}",
        "{%- if false -%}",
        ON_VOLUMES + "test_a_loss_stops_the_run_until_it_is_accepted_once",
    ),
    mutant(
        "deleted rows pass",
        VOLUMES,
        "{%- if row['has_deleted_rows'] -%}",
        "{%- if false -%}",
        ON_VOLUMES + "test_rows_that_are_marked_as_deleted_count_as_lost",
    ),
    mutant(
        "unusual volumes pass",
        VOLUMES,
        "{%- if row['is_unusual'] -%}",
        "{%- if false -%}",
        ON_VOLUMES + "test_a_day_out_of_its_usual_range_stops_the_run",
    ),
    mutant(
        "few days are a history",
        VOLUMES,
        "usual.days >= 14 and",
        "",
        ON_VOLUMES + "test_fourteen_days_are_needed",
    ),
    mutant(
        "weekdays are alike",
        VOLUMES,
        "and not (usual.same_weekdays >= 3 and volumes.rows_per_day between usual.lowest / 2"
        " and usual.highest * 2)",
        "",
        ON_VOLUMES + "test_a_weekday_with_its_own_volume_is_usual",
    ),
    mutant(
        "few rows are a loss",
        VOLUMES,
        " and last.row_count - volumes.row_count >= 20, false",
        ", false",
        ON_VOLUMES + "test_a_few_rows_are_no_loss",
    ),
    mutant(
        "what a second step has yet to ask is published",
        REASONS,
        " or leaves_tests_out() and unique_id not in selected_resources",
        "",
        ON_PUBLICATION + "test_what_is_left_out_and_not_known_holds_back",
    ),
    mutant(
        "a publication that fails is a success",
        "macros/hooks/internal/publish_results.sql",
        """end_of_publication("'the publication failed'", has_failed=true)""",
        "end_of_publication('null', has_failed=false)",
        ON_PUBLICATION + "test_a_publication_that_fails_is_a_failed_run",
    ),
    mutant(
        "a second run of a day counts its own rows only",
        VOLUMES,
        "where _loaded_at > coalesce(day_before.measured_at, last_measured.measured_at)",
        "where _loaded_at > last_measured.measured_at",
        ON_VOLUMES + "test_a_second_run_of_the_day_is_compared_as_a_day",
    ),
)
