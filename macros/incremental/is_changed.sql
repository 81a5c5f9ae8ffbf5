{% macro is_changed(keys, columns=none) -%}
    {%- if execute and (keys is not mapping or keys.columns is not defined) -%}
        {{ exceptions.raise_compiler_error(
            'is_changed in ' ~ model.name ~ " is given '" ~ keys ~ "'; it takes what changed_keys returned, such as is_changed(changed_users)."
        ) }}
    {%- endif -%}
    {%- set columns = as_list(columns or keys.columns) -%}
    {%- if execute and columns | length != keys.columns | length -%}
        {{ exceptions.raise_compiler_error(
            'is_changed in ' ~ model.name ~ ' is given the columns ' ~ columns | join(', ') ~ ', and the keys have ' ~ keys.columns | join(', ')
            ~ '. Give as many columns, in the same order.'
        ) }}
    {%- elif execute and is_in_other_order(columns, keys.columns) -%}
        {{ exceptions.raise_compiler_error(
            'is_changed in ' ~ model.name ~ ' is given the columns ' ~ columns | join(', ') ~ ', and the keys have ' ~ keys.columns | join(', ')
            ~ '. Columns are matched by their place, not by their name; give them in the order of the key.'
        ) }}
    {%- elif keys.all -%}
        {#- The planner drops the columns, but a missing one stops the first build, not the second. -#}
        {{ '(true or (' ~ columns | join(', ') ~ ') is null)' if columns else 'true' }}
    {%- elif flags.EMPTY -%}
        false
    {%- else -%}
        {#- A literal is looked for in the keys first, so that the planner knows how few of them are left. -#}
        {%- set compared = [] -%}
        {%- set names = [] -%}
        {%- set literals = [] -%}
        {%- for column in columns -%}
            {%- if modules.re.fullmatch("'[^']*'", column) and not (loop.last and not compared) -%}
                {%- do literals.append(keys.columns[loop.index0] ~ ' = ' ~ column) -%}
            {%- else -%}
                {%- do compared.append(column) -%}
                {%- do names.append(keys.columns[loop.index0]) -%}
            {%- endif -%}
        {%- endfor -%}
        ({{ compared | join(', ') }}) in (
            select {{ names | join(', ') }} from changed_keys{{ ' where ' ~ literals | join(' and ') if literals }}
        )
    {%- endif -%}
{%- endmacro %}
