{% macro mark_constraints(relation, where='true') -%}
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
                    where conrelid = {{ regclass_of(relation) }} and ({{ where }}) and obj_description(oid, 'pg_constraint') is null
                loop
                    execute format('comment on constraint %I on %s is %L', named, {{ regclass_of(relation) }}, {{ postgres_escape_comment(mark_of_contract()) }});
                end loop;
            end
            $mark_constraints$
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}
