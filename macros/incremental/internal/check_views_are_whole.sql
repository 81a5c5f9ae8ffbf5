{% macro check_views_are_whole(upstreams) -%}
    {#- A view that was created with --empty or --sample keeps dbt's filter, and rows that it hides would count as deleted. -#}
    {%- set names = [] -%}
    {%- for upstream in upstreams if not upstream.is_snapshot -%}
        {%- do names.append("('" ~ upstream.name ~ "', " ~ regclass_of(upstream.relation) ~ ')') -%}
    {%- endfor -%}
    {%- if names -%}
        {%- set query -%}
            select upstreams.name
            from (values {{ names | join(', ') }}) as upstreams (name, oid)
            inner join pg_class on upstreams.oid = pg_class.oid
            where pg_class.relkind = 'v' and pg_get_viewdef(pg_class.oid) ~ '_dbt_(limit|et_filter)_subq_'
        {%- endset -%}
        {%- set filtered = run_query(query).columns[0].values() -%}
        {%- if filtered -%}
            {{ exceptions.raise_compiler_error(
                model.name ~ ': the view ' ~ filtered | join(', ') ~ ' was created with --empty or --sample and hides rows; build it first, with dbt run --select '
                ~ filtered | join(' ') ~ '.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
