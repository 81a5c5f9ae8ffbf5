{% macro refuse_sample() -%}
    {%- if is_sample() and is_incremental() -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ': --sample shows a part of the upstreams only, and the rows of ' ~ this ~ ' that it does not show would be deleted.'
            ~ ' Use a target of its own, and --full-refresh from the second time on.'
        ) }}
    {%- endif -%}
{%- endmacro %}
