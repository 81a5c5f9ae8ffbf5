{% macro fingerprint_of_test(test) -%}
    {#- What decides which rows fail, and how many are too many. -#}
    {%- set namespace = test.test_metadata.namespace -%}
    {%- set generator = (context[namespace] if namespace else context)['test_' ~ test.test_metadata.name] -%}
    {%- set texts = [test.raw_code, tojson(test.test_metadata.kwargs, sort_keys=true), generator.macro.macro_sql] -%}
    {%- for name in ['where', 'limit', 'severity', 'warn_if', 'error_if', 'fail_calc'] -%}
        {%- do texts.append(name ~ ': ' ~ test.config.get(name)) -%}
    {%- endfor -%}
    {{ return(local_md5(texts | join('\n'))) }}
{%- endmacro %}
