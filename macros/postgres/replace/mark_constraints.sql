{% macro mark_constraints(relation) -%}
    {#- The constraints of a new table are those of its contract. One without this comment was added manually. -#}
    {%- if (config.get('contract') or {}).enforced -%}
        {%- call statement('mark_constraints') -%}
            do $mark_constraints$
            declare
                named text;
            begin
                for named in
                    select conname
                    from pg_constraint
                    where conrelid = {{ regclass_of(relation) }} and obj_description(oid, 'pg_constraint') is null
                loop
                    execute format('comment on constraint %I on %s is %L', named, {{ regclass_of(relation) }}, 'dbt: declared by the contract');
                end loop;
            end
            $mark_constraints$
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
