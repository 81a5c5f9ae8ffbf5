{% macro definition_fingerprint() -%}
    {#- What determines the rows, apart from the upstreams. A changed macro is not detected: use --full-refresh. -#}
    {{ return(local_md5(
        model.raw_code ~ var('calendar_start') ~ var('calendar_end') ~ var('simple_clv_factor') ~ var('sources_present')
        ~ var('rfm_window_months')
    )) }}
{%- endmacro %}


{% macro fingerprint_of(relation) -%}
    {%- set query -%}
        select md5(coalesce(string_agg(lookup::text, '|' order by lookup::text), '')) from {{ relation }} as lookup
    {%- endset -%}
    {{ return(run_query(query)[0][0]) }}
{%- endmacro %}
