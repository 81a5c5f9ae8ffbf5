{% macro check_variables() -%}
    {#- Some variables are read while dbt parses, long before a hook; those that only PostgreSQL can judge wait for the hook. -#}
    {%- set findings = [] -%}
    {%- set texts = {} -%}
    {%- for name, rule in rules_of_variables().items() -%}
        {%- set value = var(name, rule.get('default')) -%}
        {%- set is_list = value is sequence and value is not string and value is not mapping -%}
        {%- set text = value | string | trim -%}
        {%- if rule.kind == 'list' -%}
            {%- set fits = is_list and (value | length) > 0 and not value | reject('string') | list -%}
        {%- elif value is none -%}
            {%- set fits = rule.get('optional', false) -%}
        {%- elif rule.kind == 'zone' -%}
            {%- set fits = text in modules.pytz.all_timezones -%}
        {%- elif rule.kind == 'anomalies' -%}
            {%- set fits = is_list and not value | reject('mapping') | list and are_known_anomalies(value) -%}
        {%- elif rule.kind == 'boolean' -%}
            {%- set fits = value is boolean -%}
        {%- else -%}
            {%- set fits = not is_list and value is not boolean and modules.re.fullmatch(rule.pattern, text) is not none -%}
            {%- if fits and rule.max is defined -%}
                {%- set fits = text | float >= rule.min and text | float <= rule.max -%}
            {%- endif -%}
        {%- endif -%}
        {%- if not fits -%}
            {%- do findings.append("The variable " ~ name ~ " is '" ~ ('null' if value is none else value) ~ "'; it takes " ~ rule.takes ~ '.') -%}
        {%- elif rule.type is defined and value is not none -%}
            {%- do texts.update({name: {'text': text, 'type': rule.type}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do findings.extend(findings_in_sources_present()) -%}
    {%- do findings.extend(misspelled_variables()) -%}
    {%- if execute and texts -%}
        {%- do findings.extend(findings_of_postgres(texts)) -%}
    {%- endif -%}
    {%- if findings -%}
        {{ exceptions.raise_compiler_error(findings | join('\n')) }}
    {%- endif -%}
{%- endmacro %}


{% macro rules_of_variables() -%}
    {%- set moment = {
        'kind': 'text',
        'optional': true,
        'pattern': '[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?',
        'type': 'timestamptz',
        'takes': "a date such as 2026-01-31, or a timestamp such as '2026-01-31 12:00:00+00'",
    } -%}
    {%- set day = {'kind': 'text', 'pattern': '[0-9]{4}-[0-9]{2}-[0-9]{2}', 'type': 'date', 'takes': 'a date such as 2026-01-31'} -%}
    {%- set yes_or_no = {'kind': 'boolean', 'optional': true, 'takes': 'true or false'} -%}
    {%- set number = '[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?' -%}
    {%- set share = {
        'kind': 'text',
        'default': 0.1,
        'pattern': number,
        'min': 0,
        'max': 1,
        'takes': 'a share from 0 to 1, such as 0.1 for 10 per cent',
    } -%}
    {{ return({
        'time_zone': {'kind': 'text', 'pattern': '[A-Za-z0-9_+/-]+', 'takes': 'UTC, or the name of a time zone such as America/New_York'},
        'as_of': moment,
        'from': moment,
        'to': moment,
        'sources_present': {'kind': 'list', 'takes': 'a list of tables of the source contract'},
        'contract_tables': {'kind': 'list', 'takes': 'the list of all tables of the source contract'},
        'calendar_start': day,
        'calendar_end': day,
        'reporting_currency': {
            'kind': 'text', 'optional': true, 'pattern': '[A-Z]{3}', 'takes': 'an ISO 4217 code in capitals, such as EUR, or null',
        },
        'exchange_rate_valid_days': {'kind': 'text', 'pattern': '[0-9]{1,3}', 'min': 1, 'max': 366, 'takes': 'a whole number of days from 1 to 366'},
        'stitch_sessions': {'kind': 'boolean', 'takes': 'true or false'},
        'max_excluded_share': share,
        'accept_excluded': yes_or_no,
        'max_lost_share': share,
        'accept_volumes': yes_or_no,
        'full_refresh_max_loss': share,
        'allow_loss': yes_or_no,
        'load_overlap': {'kind': 'text', 'pattern': "[^'\\\\]+", 'type': 'interval', 'takes': 'an interval from 0, such as 1 day or 36 hours'},
        'whole_tests_every': {'kind': 'text', 'pattern': "[^'\\\\]+", 'type': 'interval', 'takes': 'an interval from 0, such as 7 days'},
        'min_quality_score': {'kind': 'text', 'pattern': number, 'min': 0, 'max': 100, 'takes': 'a number from 0 to 100'},
        'publish_untested': yes_or_no,
        'run_results_retention': {'kind': 'text', 'pattern': "[^'\\\\]+", 'type': 'interval', 'takes': 'an interval from 0, such as 13 months'},
        'archive_store': {
            'kind': 'text', 'optional': true, 'pattern': '[^ ].*', 'takes': 'a folder, or the URL of a store such as s3://bucket/archive, or null',
        },
        'anomaly_days': {'kind': 'text', 'pattern': '[0-9]{1,5}', 'min': 1, 'max': 36600, 'takes': 'a whole number of days from 1 to 36600'},
        'anomaly_threshold': {
            'kind': 'text', 'pattern': number, 'min': 1, 'max': 1000, 'takes': 'a number of standard deviations from 1 to 1000, such as 4',
        },
        'known_anomalies': {
            'kind': 'anomalies',
            'default': [],
            'takes': 'a list of mappings with any of day, from and to (dates), table_name, measure and column_name, such as [{day: 2026-12-25}]',
        },
        'index_lock_timeout': {
            'kind': 'text', 'pattern': '[1-9][0-9]{0,5} *(ms|s|min|h)', 'takes': 'a time with its unit, such as 300ms or 15min',
        },
        'replace_lock_timeout': {
            'kind': 'text', 'pattern': '[1-9][0-9]{0,5} *(ms|s|min)', 'takes': 'a time with its unit, such as 800ms or 2s',
        },
        'replace_lock_attempts': {'kind': 'text', 'pattern': '[1-9][0-9]{0,8}', 'takes': 'a whole number from 1, such as 30'},
        'simple_clv_factor': {'kind': 'text', 'pattern': number, 'min': 0, 'max': 1000000, 'takes': 'a number from 0 to 1000000, such as 1.2'},
        'clv_monthly_discount': {
            'kind': 'text', 'pattern': number, 'min': 0, 'max': 1, 'takes': 'a rate from 0 to 1, such as 0.01 for one per cent',
        },
        'marketing_purpose': {'kind': 'text', 'pattern': '.*\\S.*', 'takes': 'a purpose of consents, such as marketing'},
        'rfm_window_months': {
            'kind': 'text', 'pattern': '[0-9]{1,4}', 'min': 1, 'max': 1200, 'takes': 'a whole number of months from 1 to 1200',
        },
        'dbt_date:time_zone': {'kind': 'zone', 'takes': 'the name of a time zone, such as UTC or Europe/Berlin'},
        'exact_schema_targets': {'kind': 'list', 'takes': 'a list of targets, such as [dev, prod]'},
    }) }}
{%- endmacro %}


{% macro are_known_anomalies(entries) -%}
    {%- set wrong = [] -%}
    {%- for entry in entries -%}
        {%- for name, value in entry.items() -%}
            {%- set is_date = name in ['day', 'from', 'to'] -%}
            {%- if name not in ['day', 'from', 'to', 'table_name', 'measure', 'column_name']
                or is_date and not modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', value | string)
                or not is_date and (value is not string or not value) -%}
                {%- do wrong.append(name) -%}
            {%- endif -%}
        {%- else -%}
            {%- do wrong.append('nothing') -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(wrong | length == 0) }}
{%- endmacro %}


{% macro findings_in_sources_present() -%}
    {%- set findings = [] -%}
    {%- set known = var('contract_tables') -%}
    {%- set present = var('sources_present') -%}
    {%- if known is sequence and known is not string and present is sequence and present is not string -%}
        {%- for name in present if name not in known -%}
            {%- do findings.append(
                "The variable sources_present names '" ~ name ~ "'; the source contract knows " ~ known | join(', ') ~ '.'
            ) -%}
        {%- endfor -%}
        {%- for name in ['users', 'orders'] if name not in present -%}
            {%- do findings.append(
                "The variable sources_present lacks '" ~ name ~ "', which every build needs; it has " ~ present | join(', ') ~ '.'
            ) -%}
        {%- endfor -%}
        {%- for name in ['user_sessions', 'events'] if name not in present and var('stitch_sessions', false) -%}
            {%- do findings.append(
                "The variable stitch_sessions is true, and sources_present lacks '" ~ name ~ "', which it reads; it has " ~ present | join(', ') ~ '.'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(findings) }}
{%- endmacro %}


{% macro misspelled_variables() -%}
    {#- dbt takes any name, so a misspelled one would leave the default in force. Other names are the variables of a user's own models. -#}
    {%- set findings = [] -%}
    {%- set known = rules_of_variables().keys() | list -%}
    {%- for name in invocation_args_dict.get('vars') or {} if name not in known -%}
        {%- for ours in known if not findings or findings[-1].name != name -%}
            {%- if are_alike(name | string, ours) -%}
                {%- do findings.append({
                    'name': name, 'text': "The variable '" ~ name ~ "' does not exist; did you mean " ~ ours ~ '? The variables are ' ~ known | join(', ') ~ '.'
                }) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(findings | map(attribute='text') | list) }}
{%- endmacro %}


{% macro are_alike(name, other) -%}
    {#- The same letters, or up to two that are missing, added or different: one of four letters, none of fewer. -#}
    {%- set left = modules.re.sub('[^a-z0-9]', '', name | lower) -%}
    {%- set right = modules.re.sub('[^a-z0-9]', '', other | lower) -%}
    {%- if left == right -%}
        {{ return(true) }}
    {%- elif left | length < 4 or right | length < 4 -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set rows = [range(right | length + 1) | list] -%}
    {%- for letter in left -%}
        {%- set row = [loop.index] -%}
        {%- for wanted in right -%}
            {%- do row.append([
                row[-1] + 1, rows[-1][loop.index] + 1, rows[-1][loop.index0] + (0 if letter == wanted else 1)
            ] | min) -%}
        {%- endfor -%}
        {%- do rows.append(row) -%}
    {%- endfor -%}
    {{ return(rows[-1][-1] <= (1 if [left | length, right | length] | min < 5 else 2)) }}
{%- endmacro %}


{% macro findings_of_postgres(texts) -%}
    {#- A day that does not exist, and an interval in any of PostgreSQL's notations. -#}
    {%- set findings = [] -%}
    {%- set rules = rules_of_variables() -%}
    {%- set query -%}
        select
            name,
            value,
            pg_input_is_valid(value, type) and (type != 'interval' or case when pg_input_is_valid(value, type) then value end::interval >= '0') as fits
        from (
            values
            {%- for name, given in texts.items() %}
            ('{{ name }}', '{{ given.text }}', '{{ given.type }}'){{ ',' if not loop.last }}
            {%- endfor %}
        ) as given (name, value, type)
    {%- endset -%}
    {%- for row in run_query(query) if not row['fits'] -%}
        {%- do findings.append('The variable ' ~ row['name'] ~ " is '" ~ row['value'] ~ "'; it takes " ~ rules[row['name']].takes ~ '.') -%}
    {%- endfor -%}
    {%- if not findings and texts.calendar_start and texts.calendar_end and texts.calendar_start.text >= texts.calendar_end.text -%}
        {%- do findings.append(
            "The variable calendar_end is '" ~ texts.calendar_end.text ~ "'; it takes a day after calendar_start, " ~ texts.calendar_start.text ~ '.'
        ) -%}
    {%- endif -%}
    {{ return(findings) }}
{%- endmacro %}
