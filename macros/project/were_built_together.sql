{% macro were_built_together() -%}
    {%- set left_out = tables_left_out() -%}
    {%- if left_out -%}
        {%- do log(model.name ~ ': not asked, because this build leaves out ' ~ left_out | join(', '), info=false) -%}
    {%- endif -%}
    {{ 'false' if left_out else 'true' }}
{%- endmacro %}


{% macro tables_left_out() -%}
    {%- set left_out = [] -%}
    {%- if execute and flags.WHICH == 'build' -%}
        {%- for unique_id in model.depends_on.nodes if unique_id.split('.')[0] in ['model', 'snapshot'] and unique_id not in selected_resources -%}
            {%- if graph.nodes[unique_id].config.materialized != 'view' -%}
                {%- do left_out.append(unique_id.split('.')[-1]) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(left_out) }}
{%- endmacro %}
