{% macro check_upstreams(columns, upstreams, definition) -%}
    {#- The first build reads none of this, and would pass; the second would fail, or find nothing. -#}
    {%- set read_before = upstreams_read_before(definition) -%}
    {%- for upstream in upstreams if upstream.kind != 'lookup' and upstream.name not in read_before -%}
        {%- set where = 'changed_keys in ' ~ model.name ~ ': ' ~ upstream.name -%}
        {%- set found = adapter.get_columns_in_relation(upstream.relation) | map(attribute='name') | list -%}
        {%- if not found -%}
            {{ exceptions.raise_compiler_error(where ~ ' does not exist as ' ~ upstream.relation ~ '; build it first, with dbt build --select +' ~ model.name ~ '.') }}
        {%- endif -%}
        {%- for column in missing_columns(upstream.columns, found) -%}
            {{ exceptions.raise_compiler_error(
                where ~ " has no column '" ~ column ~ "', which is to be followed; it has " ~ found | join(', ')
                ~ ". Follow another one, with upstream(ref('" ~ upstream.name ~ "'), columns=..., lookup=...), or, if its changes do not matter, name it in ignoring."
            ) }}
        {%- endfor -%}
        {%- for column in missing_columns([load_time_of(upstream)] + ([] if upstream.is_snapshot else ['_row_xid']), found) if upstream.kind == 'loaded' -%}
            {{ exceptions.raise_compiler_error(
                where ~ " has no column '" ~ column ~ "', by which its changes are found. Select _loaded_at, the time at which a row was loaded, and _row_xid,"
                ~ ' which read_source adds.'
            ) }}
        {%- endfor -%}
        {#- Before the first build, this model's own table does not exist. -#}
        {%- if upstream.lookup and this | string not in upstream.lookup | string -%}
            {%- set found = get_columns_in_query('select * from ' ~ upstream.lookup ~ ' as looked_up') -%}
            {%- for column in missing_columns(columns + upstream.columns, found) -%}
                {{ exceptions.raise_compiler_error(
                    where ~ " is looked up in a relation without the column '" ~ column ~ "'; it has " ~ found | join(', ')
                    ~ '. A lookup needs the key, ' ~ columns | join(', ') ~ ', and the followed columns, ' ~ upstream.columns | join(', ') ~ '.'
                ) }}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro upstreams_read_before(definition) -%}
    {%- if not is_incremental() -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set query -%}
        select watermarks.upstream_name
        from {{ state_relation('watermarks') }} as watermarks
        inner join {{ state_relation('watermarks') }} as last_run
            on watermarks.model_name = last_run.model_name
                and last_run.upstream_name = '(definition)'
                and last_run.fingerprint = '{{ definition }}'
        where watermarks.model_name = '{{ state_name(model) }}'
    {%- endset -%}
    {{ return(run_query(query).columns[0].values()) }}
{%- endmacro %}


{% macro own_columns(columns, upstreams, event_time) -%}
    {%- set own = columns + as_list(event_time) -%}
    {%- for upstream in upstreams if upstream.lookup | string == this | string -%}
        {%- do own.extend(upstream.columns) -%}
    {%- endfor -%}
    {{ return(own) }}
{%- endmacro %}


{% macro own_queries(columns, upstreams, recompute_when) -%}
    {#- They read the conditions of later runs, and return no row. -#}
    {%- set queries = ['select 1 from ' ~ this ~ ' where ' ~ recompute_when ~ ' limit 0'] if recompute_when else [] -%}
    {%- for upstream in upstreams if upstream.except_when -%}
        {%- do queries.append('select 1 from ' ~ upstream.lookup ~ ' as looked_up where ' ~ upstream.except_when ~ ' limit 0') -%}
    {%- endfor -%}
    {%- for upstream in upstreams if upstream.key -%}
        {%- set keys = keys_of_followed(upstream, 'select ' ~ upstream.columns | join(', ') ~ ' from ' ~ upstream.relation) -%}
        {#- The first asks for the columns; in the second, a column of this table would be taken for one of the upstream. -#}
        {%- do queries.append(keys ~ ' limit 0') -%}
        {%- do queries.append('select 1 from ' ~ this ~ ' where (' ~ columns | join(', ') ~ ') in (' ~ keys ~ ') limit 0') -%}
    {%- endfor -%}
    {{ return(queries) }}
{%- endmacro %}
