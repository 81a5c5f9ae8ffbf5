{% macro is_unseen_load(watermark, row_xid) -%}
    {#-
        Rows newer than the newest seen, and, within the overlap, those that the last run's snapshot could not see:
        a transaction may commit later than another one that stamped its rows later.
    -#}
    {%- if watermark['loaded_through'] is none -%}
        true
    {%- else -%}
        _loaded_at >= '{{ watermark["loaded_through"] }}'::timestamptz - interval '{{ var("load_overlap") }}'
        and (
            _loaded_at > '{{ watermark["loaded_through"] }}'
            or {{ row_xid }} is null
            or not pg_visible_in_snapshot(
                {{ full_xid(row_xid, watermark['run_snapshot']) }}, '{{ watermark["run_snapshot"] }}'
            )
        )
    {%- endif -%}
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
