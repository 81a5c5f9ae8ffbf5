{% macro read_retain(node) -%}
    {#- The only validation: builds raise the fault, and `warehouse retain` reports it. -#}
    {%- set given = node.config.get('retain') -%}
    {%- if given is none -%}
        {%- set given = node.config.get('meta', {}).get('retain') -%}
    {%- endif -%}
    {%- if given is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set policy = {
        'fault': none, 'tiers': [], 'tablespace': none, 'column': none, 'is_partitioned': false, 'holds': [], 'consent': none, 'text': none,
    } -%}
    {%- set period = 'one of days, months, years with a whole number from 1 on, such as {months: 24}' -%}
    {%- set keys = ['days', 'months', 'years', 'hot', 'warm', 'archive', 'column', 'hold', 'consent'] -%}
    {%- set place = node.name ~ ': retain' -%}
    {%- if given is not mapping or not given or given.keys() | reject('in', keys) | list or given | select('in', keys[:3]) | list | length > 1 -%}
        {%- do policy.update({'fault':
            place ~ ' is ' ~ given ~ '; it takes ' ~ period ~ ', or the tiers hot, warm and archive; and column, hold, consent.'
        }) -%}
        {{ return(policy) }}
    {%- endif -%}
    {%- set fault = fault_in_tiers(place, given, policy, period)
        or fault_in_table(place, node, given, policy)
        or fault_in_holds(place, given.get('hold'), policy)
        or fault_in_consent(place, node, given.get('consent'), policy) -%}
    {%- do policy.update({'fault': fault or none}) -%}
    {{ return(policy) }}
{%- endmacro %}


{% macro fault_in_tiers(place, given, policy, period) -%}
    {#- The short form is a table that is hot until its rows are deleted. -#}
    {%- set unit = given | select('in', ['days', 'months', 'years']) | first -%}
    {%- set tiers = ['hot', 'warm', 'archive'] | select('in', given) | list -%}
    {%- if unit and tiers -%}
        {{ return(place ~ ' has ' ~ unit ~ ' and ' ~ tiers | join(', ') ~ '; it takes either ' ~ period ~ ', or tiers.') }}
    {%- endif -%}
    {%- set before = {'days': 0} -%}
    {%- set names = ['hot'] if unit else tiers -%}
    {%- for tier in names -%}
        {%- set value = {unit: given[unit]} if unit else given[tier] -%}
        {%- set path = place ~ ('' if unit else '.' ~ tier) -%}
        {%- set units = (value.keys() | reject('equalto', 'tablespace') | list if tier == 'warm' else value | list) if value is mapping else [] -%}
        {%- if units | length != 1 or units[0] not in ['days', 'months', 'years'] -%}
            {{ return(path ~ ' is ' ~ value ~ '; it takes ' ~ period ~ (', with a tablespace.' if tier == 'warm' else '.')) }}
        {%- endif -%}
        {%- set number = value[units[0]] -%}
        {%- if number is not integer or number is boolean or number < 1 -%}
            {{ return(path ~ '.' ~ units[0] ~ ' is ' ~ number ~ '; it takes ' ~ period ~ '.') }}
        {%- endif -%}
        {%- set days = number * {'days': 1, 'months': 30.4375, 'years': 365.25}[units[0]] -%}
        {%- set interval = number ~ ' ' ~ units[0] -%}
        {%- if before.tier and days <= before.days -%}
            {{ return(
                path ~ ' is ' ~ interval ~ ', and ' ~ before.tier ~ ' is ' ~ before.interval
                ~ '; each tier says until what age rows stay in it, so it takes more than the tier before it.'
            ) }}
        {%- endif -%}
        {%- do before.update({'tier': tier, 'days': days, 'interval': interval}) -%}
        {%- do policy.tiers.append({'name': tier, 'until': interval}) -%}
        {%- if tier == 'warm' -%}
            {%- if value.get('tablespace') is not string or not value.tablespace -%}
                {{ return(path ~ '.tablespace is ' ~ value.get('tablespace') ~ '; it takes the name of a tablespace of the server, such as slow.') }}
            {%- endif -%}
            {%- do policy.update({'tablespace': value.tablespace}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if tiers == ['archive'] -%}
        {{ return(place ~ ' has archive, and neither hot nor warm, which say how long rows stay in the database first; add hot, such as hot: {months: 24}.') }}
    {%- endif -%}
    {%- set texts = [] -%}
    {%- for tier in policy.tiers -%}
        {%- do texts.append(tier.until if unit else tier.name ~ ' ' ~ tier.until) -%}
    {%- endfor -%}
    {%- do policy.update({'text': texts | join(', ') or 'no period'}) -%}
{%- endmacro %}


{% macro fault_in_table(place, node, given, policy) -%}
    {%- set materialized = 'table' if node.resource_type == 'source' else node.config.materialized -%}
    {%- if materialized not in ['table', 'incremental'] -%}
        {{ return(place ~ ' is set, and materialized is ' ~ materialized ~ '; only rows of a table or an incremental model expire.') }}
    {%- endif -%}
    {%- set partition_by = none if node.resource_type == 'source' else node.config.get('partition_by') -%}
    {%- if partition_by is not none and (partition_by is not mapping or partition_by.get('method', 'range') != 'range') -%}
        {{ return(
            place ~ ' needs partition_by with the method range, because whole partitions are dropped, or no partition_by; partition_by is '
            ~ partition_by ~ '.'
        ) }}
    {%- endif -%}
    {%- set column = given.get('column') -%}
    {%- if partition_by is not none -%}
        {%- set field = as_list(partition_by.get('fields', [])) | first -%}
        {%- if column is not none and column != field -%}
            {{ return(place ~ '.column is ' ~ column ~ '; whole partitions expire, which are by ' ~ field ~ '. Leave it out.') }}
        {%- endif -%}
        {%- do policy.update({'column': field, 'is_partitioned': true}) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set column = column or node.config.get('event_time') -%}
    {%- if policy.tiers and (column is not string or node.columns and column not in node.columns) -%}
        {{ return(
            place ~ '.column is ' ~ column ~ '; a table without partitions needs the column with the time by which its rows expire'
            ~ (', one of ' ~ node.columns.keys() | join(', ') if node.columns else '') ~ '.'
        ) }}
    {%- elif policy.tablespace -%}
        {{ return(place ~ ' has warm, and the table has no partition_by; only partitions can be on another tablespace than the rest of their table.') }}
    {%- elif node.resource_type == 'source' and policy.tiers | length > 1 -%}
        {{ return(
            place ~ ' has archive, and is that of a source; archive the rows of a model that reads it. A source takes hot only, or '
            ~ 'one of days, months, years.'
        ) }}
    {%- endif -%}
    {%- do policy.update({'column': column}) -%}
{%- endmacro %}


{% macro fault_in_holds(place, given, policy) -%}
    {%- set takes = 'a list with a reason each, such as [{reason: case 17, months: 2024-01..2024-03}]; without months, the whole table is held' -%}
    {%- if given is not none and (given is string or given is mapping or given is not sequence) -%}
        {{ return(place ~ '.hold is ' ~ given ~ '; it takes ' ~ takes ~ '.') }}
    {%- endif -%}
    {%- set month = '([0-9]{4}-(?:0[1-9]|1[0-2]))' -%}
    {%- for hold in given or [] -%}
        {%- set months = hold.get('months') if hold is mapping else none -%}
        {%- set found = modules.re.fullmatch(month ~ '(?:[.][.]' ~ month ~ ')?', months) if months is string else none -%}
        {%- if hold is not mapping or hold.keys() | reject('in', ['reason', 'months']) | list
            or hold.get('reason') is not string or not hold.reason | trim
            or months is not none and (not found or found.group(2) and found.group(2) < found.group(1)) -%}
            {{ return(place ~ '.hold has ' ~ hold ~ '; it takes ' ~ takes ~ '.') }}
        {%- endif -%}
        {%- do policy.holds.append({
            'reason': hold.reason | trim,
            'first_month': found.group(1) if found else none,
            'last_month': (found.group(2) or found.group(1)) if found else none,
        }) -%}
    {%- endfor -%}
{%- endmacro %}


{% macro fault_in_consent(place, node, given, policy) -%}
    {%- if given is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set takes = 'a purpose and the column of the user, such as {purpose: analytics, column: user_id}' -%}
    {%- if given is not mapping or given.keys() | sort != ['column', 'purpose'] or given.values() | reject('string') | list -%}
        {{ return(place ~ '.consent is ' ~ given ~ '; it takes ' ~ takes ~ '.') }}
    {%- elif node.columns and given.column not in node.columns -%}
        {{ return(place ~ '.consent.column is ' ~ given.column ~ '; the table has ' ~ node.columns.keys() | join(', ') ~ '.') }}
    {%- elif 'consents' not in var('sources_present') -%}
        {{ return(place ~ '.consent is set, and sources_present lacks consents, which says who withdrew it.') }}
    {%- elif node.resource_type != 'source' -%}
        {#- Rows of a model come from its sources: deleted only in the model, a full refresh would restore them. -#}
        {%- set asking = sources_with_consent(node, given.purpose) -%}
        {%- if not asking -%}
            {{ return(
                place ~ '.consent names the purpose ' ~ given.purpose ~ ', and no source of the model does; set it on the source too, such as'
                ~ ' events in models/staging/app/_app__sources.yml, so that a full refresh does not restore what was deleted.'
            ) }}
        {%- endif -%}
    {%- endif -%}
    {%- do policy.update({'consent': {'purpose': given.purpose | lower | trim, 'column': given.column}}) -%}
{%- endmacro %}


{% macro sources_with_consent(node, purpose) -%}
    {%- set found = [] -%}
    {%- for unique_id in ancestors_of(node) if unique_id.startswith('source.') and unique_id in graph.sources -%}
        {%- set consent = graph.sources[unique_id].config.get('meta', {}).get('retain', {}).get('consent', {}) -%}
        {%- if consent.purpose == purpose -%}
            {%- do found.append(unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro ancestors_of(node) -%}
    {#- The list grows while it is read: a node is looked at once. -#}
    {%- set found = node.depends_on.nodes | list -%}
    {%- for unique_id in found if unique_id in graph.nodes -%}
        {%- for above in graph.nodes[unique_id].depends_on.nodes if above not in found -%}
            {%- do found.append(above) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
