{% macro check_uniqueness(index) -%}
    {#- PostgreSQL would find the duplicate only after building an index that it then has to drop. -#}
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
                ~ index['keys'] | join(', ') ~ ') = (' ~ double['key_value'] ~ '); a unique index takes one row per key.'
                ~ ' If the model declares no such index, it follows from unique_key: correct unique_key, or set unique_key_index: false.'
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
