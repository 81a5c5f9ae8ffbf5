{% macro is_unseen_load(watermark, row_xid, load_time='_loaded_at') -%}
    {#-
        Rows newer than the newest one seen, and, within the overlap, those of transactions that may not have ended when the
        last run began: one may commit after another that stamped its rows later. A row can hold the number of a subtransaction,
        which a snapshot does not know; it is always above that of its transaction.
    -#}
    {%- if watermark['loaded_through'] is none -%}
        true
    {%- else -%}
        {{ load_time }} >= '{{ watermark["loaded_through"] }}'::timestamptz - interval '{{ var("load_overlap") }}'
        and (
            {{ load_time }} > '{{ watermark["loaded_through"] }}'
            or {{ row_xid }} is null
            or {{ full_xid(row_xid, watermark['run_snapshot']) }}
            >= pg_snapshot_xmin('{{ watermark["run_snapshot"] }}')
        )
    {%- endif -%}
{%- endmacro %}


{% macro load_time_of(upstream) -%}
    {#- A snapshot may read a row again long after it was loaded. -#}
    {{ return('dbt_updated_at' if upstream.is_snapshot else '_loaded_at') }}
{%- endmacro %}


{% macro full_xid(row_xid, run_snapshot) -%}
    {#- A row holds the lower 32 bits of its transaction; it is the one within two billions of the snapshot's. -#}
    {%- set newest = run_snapshot.split(':')[1] | int -%}
    {%- set low = newest % 4294967296 -%}
    {%- set epoch_start = newest - low -%}
    greatest(
        {{ row_xid }} + {{ epoch_start }}
        + case
            when {{ row_xid }} - {{ low }} > 2147483648 then -4294967296
            when {{ row_xid }} - {{ low }} < -2147483648 then 4294967296
            else 0
        end,
        0
    )::text::xid8
{%- endmacro %}
