{% macro postgres__rename_relation(from_relation, to_relation) -%}
    {#-
        dbt replaces a relation in two steps, in one transaction: it renames the old one to a backup, then the new one to the
        old one's name. Row level security and everything else is there before the transaction ends.
    -#}
    {%- set new_relation = make_intermediate_relation(from_relation) -%}
    {%- set old_relation = make_backup_relation(to_relation, 'table') -%}
    {%- if to_relation.identifier == make_backup_relation(from_relation, 'table').identifier and relation_in_catalog(new_relation) -%}
        {%- do prepare_successor(from_relation, new_relation) -%}
        {%- do remember_properties(from_relation) -%}
    {%- endif -%}

    {%- do dbt.default__rename_relation(from_relation, to_relation) -%}

    {%- if from_relation.identifier == make_intermediate_relation(to_relation).identifier and relation_in_catalog(old_relation) -%}
        {%- do carry_over_remembered(old_relation, to_relation) -%}
    {%- endif -%}
{%- endmacro %}
