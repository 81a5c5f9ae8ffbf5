{% macro upstream(relation, columns=none, key=none, lookup=none, except_when=none, through=none, unless=none, dated_by=none) -%}
    {%- if through -%}
        {%- do warn_of_former_name('through', 'lookup') -%}
    {%- endif -%}
    {%- if unless -%}
        {%- do warn_of_former_name('unless', 'except_when') -%}
    {%- endif -%}
    {%- if dated_by -%}
        {%- do warn_of_former_name('dated_by', 'the config event_time of the upstream') -%}
    {%- endif -%}
    {{ return({
        'relation': relation,
        'columns': as_list(columns) if columns else none,
        'key': as_list(key) if key else none,
        'lookup': lookup or through,
        'except_when': except_when or (unless.replace('led.', 'looked_up.') if unless else none),
        'event_time': dated_by,
    }) }}
{%- endmacro %}
