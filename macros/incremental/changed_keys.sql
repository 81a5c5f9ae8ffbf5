{% macro changed_keys(columns, upstreams, due=none, dated_by=none) -%}
    {#-
        Finds the keys of this run and records how far each upstream has been read. The keys go into the temporary table
        changed_keys, analyzed, so that the planner knows how few they are.
    -#}
    {%- set columns = [columns] if columns is string else columns -%}
    {%- if not execute or model.resource_type == 'unit_test' or flags.WHICH not in ['build', 'run'] -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- elif flags.EMPTY -%}
        {{ return({'all': not is_incremental(), 'columns': columns}) }}
    {%- elif is_sample() -%}
        {#- The table gets no watermarks, so the next run without --sample builds it whole. -#}
        {%- if is_incremental() -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ': --sample shows a part of the upstreams only, and the rows of ' ~ this ~ ' that it does not show would be deleted.'
                ~ ' Use a target of its own, and --full-refresh from the second time on.'
            ) }}
        {%- endif -%}
        {{ return({'all': true, 'columns': columns}) }}
    {%- endif -%}

    {#- Before anything is read: a build that waits for another one must not hold locks on tables that the other may need. -#}
    {%- do run_query(lock_model()) -%}
    {%- set upstreams = normalize_upstreams(columns, upstreams) -%}
    {%- do check_views_are_whole(upstreams) -%}
    {%- do remember_watermarks(upstreams) -%}
    {%- set previous = read_watermarks(upstreams) -%}
    {%- set reason = reason_for_all_keys(upstreams, previous, due) -%}

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
            {%- if due %}
            union
            select {{ columns | join(', ') }} from {{ this }} where {{ due }}
            {%- endif %}
            {%- if is_backfill() %}
            {{ keys_of_backfill(columns, upstreams, dated_by) }}
            {%- endif %}
        {%- endset -%}
        {%- do run_query(
            'create temporary table changed_keys (' ~ columns | join(', ') ~ ') as ' ~ found ~ '; analyze changed_keys;'
        ) -%}
    {%- endif -%}
    {{ return({'all': reason is not none, 'columns': columns}) }}
{%- endmacro %}
