{%- test not_empty_string(model, column_name, trim_whitespace=true) -%}
    {%- set content = 'trim(' ~ column_name ~ ')' if trim_whitespace else column_name -%}

select {{ content }} as {{ column_name }}
from {{ model }}
where {{ content }} = ''
{%- endtest -%}
