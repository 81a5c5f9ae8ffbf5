{% macro is_in_transaction() -%}
    {{ return(run_query('select transaction_timestamp() < statement_timestamp()')[0][0]) }}
{%- endmacro %}
