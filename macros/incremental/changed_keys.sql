{% macro changed_keys(columns=none, upstreams=[], recompute_when=none, ignoring=[], due=none, dated_by=none) -%}
    {#-
        Finds the keys of this run and records how far each upstream has been read. The keys go into the temporary table
        changed_keys, analyzed, so that the planner knows how few they are.
    -#}
    {%- set columns = as_list(columns or config.get('unique_key')) -%}
    {%- if due -%}
        {%- do warn_of_former_name('due', 'recompute_when') -%}
        {%- set recompute_when = due -%}
    {%- endif -%}
    {%- if dated_by -%}
        {%- do warn_of_former_name('dated_by', 'the config event_time') -%}
    {%- endif -%}
    {%- if not execute or model.resource_type == 'unit_test' or flags.WHICH not in ['build', 'run'] -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- elif flags.EMPTY -%}
        {{ return({'all': not is_incremental(), 'columns': columns}) }}
    {%- elif is_sample() -%}
        {#- The table gets no watermarks, so the next run without --sample builds it whole. -#}
        {%- do refuse_sample() -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- endif -%}

    {#- Before anything is read: a build that waits for another one must not hold locks on tables that the other may need. -#}
    {%- do run_query(lock_model() ~ '; ' ~ use_fixed_formats()) -%}
    {%- set event_time = dated_by or config.get('event_time') -%}
    {%- set upstreams = read_upstreams(columns, upstreams, ignoring) -%}
    {%- set definition = definition_fingerprint() -%}
    {%- do check_upstreams(columns, upstreams, definition) -%}
    {%- do check_use_of_keys() -%}
    {%- do check_views_are_whole(upstreams) -%}
    {%- do remember_watermarks(
        upstreams, definition, own_columns(columns, upstreams, event_time), own_queries(columns, upstreams, recompute_when)
    ) -%}
    {%- set previous = read_watermarks(upstreams) -%}
    {%- set reason = reason_for_all_keys(upstreams, previous, recompute_when, event_time) -%}

    {%- if reason -%}
        {%- do log(model.name ~ ': all keys, because ' ~ reason, info=false) -%}
    {%- else -%}
        {%- set found -%}
            {%- for upstream in upstreams if upstream.kind != 'lookup' %}
            {{ 'union' if not loop.first }}
            {{ changed_keys_of_upstream(columns, upstream, previous[upstream.name]) }}
            {%- else %}
            select {{ columns | join(', ') }} from {{ this }} where false
            {%- endfor %}
            {%- if recompute_when %}
            union
            select {{ columns | join(', ') }} from {{ this }} where {{ recompute_when }}
            {%- endif %}
            {%- if is_backfill() %}
            {{ keys_of_backfill(columns, upstreams, event_time) }}
            {%- endif %}
        {%- endset -%}
        {%- do run_query(
            'create temporary table changed_keys (' ~ columns | join(', ') ~ ') as ' ~ found ~ '; analyze changed_keys;'
        ) -%}
    {%- endif -%}
    {{ return({'all': reason is not none, 'columns': columns}) }}
{%- endmacro %}
