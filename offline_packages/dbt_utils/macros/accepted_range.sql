{#- A missing bound is not checked. A null passes. -#}
{%- test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) -%}
    {%- set or_equal = '=' if inclusive else '' -%}
    {%- set bounds = [] -%}
    {%- if min_value is not none -%}
        {%- do bounds.append(column_name ~ ' >' ~ or_equal ~ ' ' ~ min_value) -%}
    {%- endif -%}
    {%- if max_value is not none -%}
        {%- do bounds.append(column_name ~ ' <' ~ or_equal ~ ' ' ~ max_value) -%}
    {%- endif -%}

select *
from {{ model }}
where not ({{ bounds | join(' and ') if bounds else 'true' }})
{%- endtest -%}
