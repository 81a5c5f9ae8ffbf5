{% macro clv_parameters() -%}
    {{ return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('ml', none),
        identifier='clv_parameters',
        type='table'
    )) }}
{%- endmacro %}


{% macro clv_covariances() -%}
    {#- The lower halves of two symmetric matrices: how often users buy, and what they spend. -#}
    {%- set names = [] -%}
    {%- for group in [['r', 'alpha', 'a', 'b'], ['p', 'q', 'v']] -%}
        {%- for row in group -%}
            {%- for column in group[:loop.index] -%}
                {%- do names.append('cov_' ~ row ~ '_' ~ column) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}


{% macro clv_variance(names) -%}
    {#- g' * covariance * g, for the elasticities by_r and so on; both factors of an off-diagonal pair count twice. -#}
    (
        {%- for row in names -%}
            {%- for column in names[:loop.index] %}
        {{ '+ ' if not (loop.first and row == names[0]) }}
        {%- if row != column %}2 * {% endif %}cov_{{ row }}_{{ column }} * by_{{ row }} * by_{{ column }}
            {%- endfor -%}
        {%- endfor %}
    )
{%- endmacro %}
