{% macro create_partitioned_table_as(relation, sql, partition_by) -%}
    {%- do validate_partition_by(partition_by) -%}
    {%- set stage = relation.identifier[:55] ~ '__stage' -%}
    {%- set contract = config.get('contract') -%}

    create temporary table {{ stage }} on commit drop as
    {{ sql }};

    create table {{ relation }}
    {%- if contract.enforced %}
        {{ get_assert_columns_equivalent(sql) }}
        {{ get_table_columns_and_constraints() }}
    {%- else %}
        (like {{ stage }})
    {%- endif %}
    partition by range ({{ partition_by['fields'] | join(', ') }});

    {% if partition_by.get('default_partition') -%}
    {{ create_default_partition(relation) }}
    {%- endif %}
    {{ create_missing_partitions(relation, stage, periods_ahead=1) }}

    {%- set columns = model.columns.values() | map(attribute='name') | list if contract.enforced else none %}
    insert into {{ relation }} {% if columns %}({{ columns | join(', ') }}){% endif %}
    select {{ columns | join(', ') if columns else '*' }} from {{ stage }};
{%- endmacro %}


{% macro validate_partition_by(partition_by) -%}
    {%- set allowed = {
        'fields': 'a list with one column',
        'method': 'range',
        'granularity': 'month',
        'default_partition': 'true or false',
    } -%}
    {%- for key in partition_by if key not in allowed -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ": partition_by has the key '" ~ key ~ "'; it takes " ~ allowed.keys() | join(', ') ~ '.'
        ) }}
    {%- endfor -%}
    {%- if partition_by.get('fields') is string or partition_by.get('fields') | length != 1 -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': partition_by.fields is ' ~ partition_by.get('fields') ~ '; it takes ' ~ allowed['fields'] ~ '.'
        ) }}
    {%- endif -%}
    {%- for key in ['method', 'granularity'] if partition_by.get(key, allowed[key]) != allowed[key] -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': partition_by.' ~ key ~ ' is ' ~ partition_by[key] ~ '; it takes ' ~ allowed[key] ~ '.'
        ) }}
    {%- endfor -%}
{%- endmacro %}
