{% macro skip_unless_changed(also_each=none, ignoring=[]) -%}
    {%- set units = ['day', 'week', 'month', 'quarter', 'year'] -%}
    {%- if also_each is not none and also_each not in units -%}
        {{ exceptions.raise_compiler_error(
            'skip_unless_changed in ' ~ model.name ~ ": also_each is '" ~ also_each ~ "'; it takes " ~ units | join(', ') ~ '.'
        ) }}
    {%- elif execute and model.resource_type != 'unit_test' and flags.WHICH in ['build', 'run'] and not flags.EMPTY -%}
        {%- do check_strategy('skip_unless_changed') -%}
        {%- do refuse_sample() -%}
        {%- do run_query(lock_model() ~ '; ' ~ use_fixed_formats()) -%}
        {%- set upstreams = read_upstreams([], [], ignoring, by_key=false) -%}
        {%- do check_views_are_whole(upstreams) -%}
        {%- do remember_watermarks(upstreams, definition_fingerprint(), with_storage=true) -%}
        {%- if is_incremental()
            and not upstreams | selectattr('is_elsewhere') | list
            and run_query('select ' ~ is_as_of_last_run(also_each))[0][0] -%}
            {#- No key, as changed_keys leaves it; otherwise the run covers all rows. -#}
            {%- do run_query('create temporary table changed_keys ()') -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
