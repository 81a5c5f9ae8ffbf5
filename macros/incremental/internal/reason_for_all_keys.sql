{% macro reason_for_all_keys(upstreams, previous, recompute_when, event_time) -%}
    {#- None, or the reason why this run covers every key. -#}
    {%- if not is_incremental() -%}
        {{ return('the table is built whole') }}
    {%- endif -%}
    {%- set last_run = previous.get('(definition)') -%}
    {%- if not last_run or last_run['has_other_fingerprint'] -%}
        {{ return('its SQL, a macro or a variable changed') }}
    {%- endif -%}
    {%- if previous.values() | selectattr('is_of_another_server') | list -%}
        {{ return('the database was restored from another server') }}
    {%- endif -%}
    {%- if not last_run['is_of_this_table'] -%}
        {{ return('the table is not as the last run left it: it was replaced, restored, truncated or rewritten') }}
    {%- endif -%}
    {%- if is_backfill() and not event_time and upstreams | selectattr('kind', 'equalto', 'loaded') | selectattr('event_time') | list -%}
        {#- Neither table tells which rows left the window: staging has their new time, and the model none. -#}
        {{ return('this is a backfill, and the model has no event_time') }}
    {%- endif -%}
    {%- for upstream in upstreams -%}
        {%- set watermark = previous.get(upstream.name) -%}
        {%- if upstream.is_elsewhere -%}
            {{ return(upstream.name ~ ' is read from another target') }}
        {%- elif not watermark -%}
            {{ return(upstream.name ~ ' was never read') }}
        {%- elif recompute_when and watermark['is_ahead'] -%}
            {{ return('as_of lies before the one of the last run') }}
        {%- elif upstream.kind == 'lookup' and watermark['has_other_fingerprint'] -%}
            {{ return(upstream.name ~ ' changed') }}
        {%- elif upstream.is_snapshot and watermark['has_other_fingerprint'] -%}
            {{ return(upstream.name ~ ' was replaced, restored, truncated or rewritten') }}
        {%- elif upstream.kind == 'loaded' and watermark['has_other_fingerprint'] -%}
            {{ return('the SQL of ' ~ upstream.name ~ ' changed') }}
        {%- elif upstream.kind == 'logged' and watermark['has_other_fingerprint'] -%}
            {{ return(upstream.name ~ ' logs its changes since the last run only') }}
        {%- elif upstream.kind == 'logged' and watermark['was_rebuilt'] -%}
            {{ return(upstream.name ~ ' was rebuilt, or logged other keys') }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(none) }}
{%- endmacro %}
