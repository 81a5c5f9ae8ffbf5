{% macro lock_model(function='pg_advisory_xact_lock') -%}
    {#- Two builds of one model at once would both insert the same rows; the second waits until the first has committed. -#}
    select
        {{ function }}_shared(hashtext('{{ state_relation("key_changes") }}')),
        {{ function }}(hashtext('{{ this }}'))
{%- endmacro %}
