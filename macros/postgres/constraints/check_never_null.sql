{% macro check_never_null(relation, unique_key) -%}
    {#- SQL that stops if a row lacks what the contract requires. PostgreSQL's own message shows the whole row, and no number. -#}
    {%- set columns = never_null_columns() | reject('in', as_list(unique_key)) | list -%}
    {%- if columns %}
    do $check_never_null$
    declare
        failing record;
    begin
        select
            count(*) as failing_rows,
            concat_ws(', ', {% for column in as_list(unique_key) %}min({{ column }}::text){{ ', ' if not loop.last }}{% endfor %}) as key_value,
            concat_ws(
                ', '
                {%- for column in columns %},
                case when count({{ adapter.quote(column) }}) < count(*) then {{ postgres_escape_comment(column) }} end
                {%- endfor %}
            ) as empty_columns
        into failing
        from {{ relation }}
        where {% for column in columns %}{{ adapter.quote(column) }} is null{{ ' or ' if not loop.last }}{% endfor %};
        if failing.failing_rows > 0 then
            raise exception using message = format(
                '{{ model.name }}: %s is null in %s row(s), such as {{ as_list(unique_key) | join(', ') }} = %s, and the contract says not_null.'
                ' Nothing was written. Correct what the column is computed from, or remove the constraint.',
                failing.empty_columns, failing.failing_rows, failing.key_value
            );
        end if;
    end
    $check_never_null$;
    {%- endif %}
{%- endmacro %}


{% macro check_existing_rows(columns) -%}
    {#- PostgreSQL would name one column, and no number. -#}
    {%- if columns -%}
        {%- set query -%}
            select
                {%- for column in columns %}
                count(*) filter (where {{ adapter.quote(column) }} is null) as {{ adapter.quote(column) }}{{ ',' if not loop.last }}
                {%- endfor %}
            from {{ this }}
        {%- endset -%}
        {%- set found = run_query(query)[0] -%}
        {%- for column in columns if found[column] -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': ' ~ column ~ ' is null in ' ~ found[column] ~ ' row(s), and the contract says not_null. Correct what ' ~ column
                ~ ' is computed from, or remove the constraint.'
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
