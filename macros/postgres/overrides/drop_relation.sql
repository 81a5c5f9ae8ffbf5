{% macro postgres__drop_relation(relation) -%}
    {#-
        dbt renames the table that it replaces to a backup and drops that with its dependents. Here the dependents are
        redirected to the successor first, so that views always exist; the warning names those that had to be dropped.
    -#}
    {%- set successor = successor_of(relation) -%}
    {%- if successor is none or not has_dependents(relation) -%}
        {%- do dbt.default__drop_relation(relation) -%}
        {{ return('') }}
    {%- endif -%}

    {#- The leftover of a killed run is dropped inside the transaction of the model, which would hold the locks until its end. -#}
    {%- set is_in_transaction = is_in_transaction() -%}
    {%- if is_in_transaction -%}
        {%- do run_query('commit') -%}
    {%- endif -%}
    {%- set trouble = replace_relation(relation, successor) -%}
    {%- if is_in_transaction -%}
        {%- do run_query('begin') -%}
    {%- endif -%}
    {%- if trouble -%}
        {%- set message =
            'Views on ' ~ successor ~ ', or foreign keys to it, still read its old version ' ~ relation ~ ', which could not be dropped: ' ~ trouble
            ~ '. The next run of this model will retry.'
        -%}
        {%- if is_in_transaction and flags.FULL_REFRESH -%}
            {{ exceptions.raise_compiler_error(message) }}
        {%- endif -%}
        {%- do exceptions.warn(message) -%}
    {%- endif -%}
{%- endmacro %}
