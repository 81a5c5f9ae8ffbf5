{% macro postgres__copy_grants() -%}
    {#- rename_relation gives a new version the grants of the old one, so dbt has to revoke those that the model does not have. -#}
    {{ return(true) }}
{%- endmacro %}
