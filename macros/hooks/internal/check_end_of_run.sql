{% macro check_end_of_run() -%}
    {#- Without it the reporting views would show the same rows for good, and nothing would say so. -#}
    {%- if execute and candidates_of_project() -%}
        {%- set nodes = graph.nodes.inner_dict or graph.nodes -%}
        {%- set hooks = [] -%}
        {%- for unique_id in nodes if unique_id.startswith('operation.') and 'on-run-end' in unique_id -%}
            {%- do hooks.append(nodes[unique_id].raw_code) -%}
        {%- endfor -%}
        {%- if not modules.re.search('after_run[(] *results *[)]', hooks | join(' ')) -%}
            {{ exceptions.raise_compiler_error(
                'The models of models/published/ are published at the end of a run. Write in dbt_project.yml: on-run-end: "{' ~ '{ after_run(results) }' ~ '}". Got: '
                ~ (hooks | join(', ') or 'no on-run-end') ~ '.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
