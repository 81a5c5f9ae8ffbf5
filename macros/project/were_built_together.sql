{% macro were_built_together() -%}
    {%- set left_out = tables_left_out(model) -%}
    {%- if left_out -%}
        {%- do log(model.name ~ ': not asked, because this build leaves out ' ~ left_out | join(', '), info=false) -%}
    {%- endif -%}
    {{ 'false' if left_out else 'true' }}
{%- endmacro %}


{% macro tables_left_out(test) -%}
    {%- set left_out = [] -%}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
        {%- for unique_id in test.depends_on.nodes if unique_id.split('.')[0] in ['model', 'snapshot'] and unique_id not in selected_resources -%}
            {%- if nodes[unique_id].config.materialized != 'view' -%}
                {%- do left_out.append(unique_id.split('.')[-1]) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(left_out) }}
{%- endmacro %}


{% macro asks_nothing(test) -%}
    {#- In a build of a part. -#}
    {{ return('were_built_together' in test.depends_on.macros | join(' ') and tables_left_out(test) != []) }}
{%- endmacro %}
