{% macro reason_to_compare_all(upstreams, previous) -%}
    {#- None, or the reason why a row that the last run has seen may differ from its state. -#}
    {%- set definition = previous.get('(definition)') -%}
    {%- if not config.get('meta', {}).get('rows_depend_on_their_load') -%}
        {{ return('it does not set meta.rows_depend_on_their_load') }}
    {%- elif flags.FULL_REFRESH -%}
        {{ return('--full-refresh also finds rows that changed without a new _loaded_at') }}
    {%- elif not load_relation(this) -%}
        {{ return('the table is new') }}
    {%- elif config.get('strategy') != 'check' or adapter.get_hard_deletes_behavior(config) != 'ignore' -%}
        {{ return('its strategy or hard_deletes looks for rows that are missing') }}
    {%- elif not upstreams -%}
        {{ return('its rows have no _loaded_at and _row_xid, or are read from another target') }}
    {%- elif not definition or definition['fingerprint'] != snapshot_fingerprint() -%}
        {{ return('its definition or a table that it reads changed') }}
    {%- elif definition['is_of_another_server'] -%}
        {{ return('the database was restored from another server') }}
    {%- elif not definition['is_of_this_table'] -%}
        {{ return('the table is not as the last run left it: it was replaced, restored, truncated or rewritten') }}
    {%- elif not previous.get('(states)') or previous['(states)']['loaded_through'] is none -%}
        {{ return('the last run has seen no row') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
