{% macro postgres__drop_relation(relation) -%}
    {#-
        dbt renames the table that it replaces to a backup and drops that with all that reads it. Here what
        reads it reads the successor first, so that nobody misses a view; and what has to go is named.
    -#}
    {%- set successor = successor_of(relation) -%}
    {%- if successor is none or not has_dependents(relation) -%}
        {%- do dbt.default__drop_relation(relation) -%}
        {{ return('') }}
    {%- endif -%}

    {#- The leftover of a killed run is met in the transaction of the model, which would hold the locks until its end. -#}
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
            'The views on ' ~ successor ~ ' still read the old one, ' ~ relation ~ ', which could not be dropped: ' ~ trouble
            ~ '. The next run of this model tries again.'
        -%}
        {%- if is_in_transaction and flags.FULL_REFRESH -%}
            {{ exceptions.raise_compiler_error(message) }}
        {%- endif -%}
        {%- do exceptions.warn(message) -%}
    {%- endif -%}
{%- endmacro %}


{% macro is_in_transaction() -%}
    {{ return(run_query('select transaction_timestamp() < statement_timestamp()')[0][0]) }}
{%- endmacro %}


{% macro successor_of(relation) -%}
    {#- dbt cuts a long name to make room for its suffix; then the one relation that begins so is meant. -#}
    {%- set suffix = '__dbt_backup' -%}
    {%- if not relation.identifier.endswith(suffix) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set beginning = relation.identifier[:-(suffix | length)] -%}
    {%- set query -%}
        select relname, relkind
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where nspname = '{{ relation.schema.replace("'", "''") }}'
            and relkind in ('r', 'p', 'v', 'm', 'f')
            {% if relation.identifier | length < relation.relation_max_name_length() -%}
                and relname = '{{ beginning.replace("'", "''") }}'
            {%- else -%}
                and starts_with(relname, '{{ beginning.replace("'", "''") }}')
                and relname !~ '__dbt_(backup|tmp)'
            {%- endif %}
    {%- endset -%}
    {%- set found = run_query(query) -%}
    {%- if found | length != 1 -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(relation.incorporate(
        path={'identifier': found[0]['relname']},
        type={'v': 'view', 'm': 'materialized_view'}.get(found[0]['relkind'], 'table')
    )) }}
{%- endmacro %}
