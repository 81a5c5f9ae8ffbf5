{# For the linter: stand-ins for the macros that need dbt or the database. #}
{% macro as_of() %}'2026-01-01 00:00:00+00'::timestamptz{% endmacro %}
{% macro changed_keys(columns=none, upstreams=[], recompute_when=none, ignoring=[]) %}{% endmacro %}
{% macro is_changed(keys, columns=none) %}true{% endmacro %}
{% macro upstream(relation, columns=none, key=none, lookup=none, except_when=none) %}{% endmacro %}
{% macro user_versions() %}{% endmacro %}
{% macro with_siblings(keys, relation, column) %}{% endmacro %}
{% macro skip_unless_changed(also_each=none, ignoring=[]) %}{% endmacro %}
{% macro has_user_key_at(moment) %}true{% endmacro %}
{% macro has_product_at(moment) %}true{% endmacro %}
{% macro is_changed_in_partitions(keys) %}true{% endmacro %}
{% macro rows_of_changed_days(keys, relation, dated_by) %}{{ relation }}{% endmacro %}
{% macro rows_of_changed_months(keys, relation, month, dated_by) %}{{ relation }}{% endmacro %}
{% macro is_retained(column, model_name=none) %}true{% endmacro %}
{% macro were_built_together() %}true{% endmacro %}
{% macro published(candidate) %}{{ candidate }}{% endmacro %}
{% macro read_source(table_name, has_row_xid=true) %}{{ table_name }}{% endmacro %}
{% macro state_relation(identifier) %}{{ identifier }}{% endmacro %}
{% macro statement_statistics() %}pg_stat_statements{% endmacro %}
{% macro clv_covariances() %}{% endmacro %}
{% macro clv_variance(names) %}1{% endmacro %}
{% macro score_purchase_histories(histories, parameters) %}select * from {{ histories }}{% endmacro %}
{% macro is_latest_as_of(snapshot) %}true{% endmacro %}
{% macro rfm_window_months() %}12{% endmacro %}
{% macro float_type() %}double precision{% endmacro %}
{% macro materialized_cte() %}materialized{% endmacro %}
{% macro offset_of_literals() %}+00{% endmacro %}
{% macro local_timestamp(timestamp, zone=none) %}({{ timestamp }} at time zone 'UTC'){% endmacro %}
{% macro start_of_day(date, zone=none) %}({{ date }}::timestamp at time zone 'UTC'){% endmacro %}
{% macro reporting_currency() %}EUR{% endmacro %}
{% macro exchange_rate_valid_days() %}31{% endmacro %}
{% macro tell_of_currencies(days) %}{% endmacro %}
{% macro declare_rules(rules) %}{% endmacro %}
{% macro exclude_when(condition, says, dimension, joins={}, needs=[], left_out_by=none) %}{% endmacro %}
{% macro flag_when(condition, says, dimension, joins={}, needs=[]) %}{% endmacro %}
{% macro exclusion_reason(rules) %}null::text{% endmacro %}
{% macro failed_rules(rules) %}null::text{% endmacro %}
{% macro is_included(rules) %}(_deleted_at is null){% endmacro %}
{% macro declared_rules() %}{% endmacro %}
{% macro check_rule_joins(relations) %}{% endmacro %}
{% macro issues_of_table(table_name, key, relations, changed_rows, row_date, joins={}) %}select 1 as issues{% endmacro %}
{% macro measure_type() %}numeric(24, 6){% endmacro %}
{% macro measured_rows(relation, dated_by, logged='date_key', where=none, null_rates=[], distinct_counts=[], means=[]) %}{% endmacro %}
{% macro measures_of_rows(source_name, table, changed_days) %}select 1 as measures{% endmacro %}
{% macro first_measured_day() %}'2026-01-01'::date{% endmacro %}
{% macro history_days() %}84{% endmacro %}
{% macro is_known_anomaly() %}false{% endmacro %}
{% macro tell_of_anomalies(anomalies, condition) %}{% endmacro %}
{% macro json_text(object, name) %}{{ object }}{% endmacro %}
{% macro json_without(object, names) %}concat({{ object }}, {{ names }}){% endmacro %}
{% macro keys_to_test(columns, upstreams, ignoring=[], with_nulls=true) %}{% endmacro %}
{% macro is_to_test(keys, columns=none, key=none) %}true{% endmacro %}
{% macro mask_phone(column) %}right({{ column }}, 2){% endmacro %}
{% macro mask_name(column) %}left({{ column }}, 1){% endmacro %}
