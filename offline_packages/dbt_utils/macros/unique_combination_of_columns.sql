{%- test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) -%}
    {%- if combination_of_columns is string or not combination_of_columns -%}
        {{ exceptions.raise_compiler_error(
            "unique_combination_of_columns: combination_of_columns must be a list of columns, got "
            ~ combination_of_columns | pprint ~ "."
        ) }}
    {%- endif -%}

    {%- set names = [] -%}
    {%- for column in combination_of_columns -%}
        {%- do names.append(adapter.quote(column) if quote_columns else column) -%}
    {%- endfor -%}
    {%- set combination = names | join(', ') -%}

select {{ combination }}
from {{ model }}
group by {{ combination }}
having count(*) > 1
{%- endtest -%}
