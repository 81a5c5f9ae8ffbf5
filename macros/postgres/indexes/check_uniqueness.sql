{% macro check_uniqueness(index) -%}
    {#- PostgreSQL would find it too, after it has made what has to be dropped again. -#}
    {%- if index.unique -%}
        {%- set query -%}
            select
                concat_ws(', ', {% for key in index['keys'] %}coalesce(({{ key }})::text, 'null'){{ ', ' if not loop.last }}{% endfor %}) as key_value,
                count(*) as rows_of_key
            from {{ this }}
            where {{ '(' ~ index.where ~ ')' if index.where else 'true' }}
                {%- if not index.nulls_not_distinct %}
                {%- for key in index['keys'] %}
                and ({{ key }}) is not null
                {%- endfor %}
                {%- endif %}
            group by {{ index['keys'] | join(', ') }}
            having count(*) > 1
            limit 1
        {%- endset -%}
        {%- for double in run_query(query) -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': the index ' ~ index.name ~ ' cannot be unique, because ' ~ double['rows_of_key'] ~ ' rows have the key ('
                ~ index['keys'] | join(', ') ~ ') = (' ~ double['key_value'] ~ '); it takes one row of each key.'
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
