{% macro get_incremental_changed_keys_sql(arguments) -%}
    {#- The incremental strategy changed_keys: for the keys of this run the target becomes what the model says, and nothing else is touched. -#}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set temp_relation = arguments['temp_relation'] -%}
    {%- set unique_key = arguments['unique_key'] -%}
    {%- set unique_key = [unique_key] if unique_key is string else unique_key -%}
    {%- set tracked = config.get('meta', {}).get('tracked_keys', []) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | list -%}
    {%- if not unique_key -%}
        {{ exceptions.raise_compiler_error(
            this.identifier ~ ': the incremental strategy changed_keys needs a unique_key, the column or columns of the grain.'
        ) }}
    {%- endif -%}

    {%- if flags.EMPTY -%}
        {#- Without rows there is nothing to compare with; what stands there stays. -#}
        {{ return('create temporary table applied_changes () on commit drop') }}
    {%- endif -%}

    {%- set key_columns = key_columns_of_this_run() -%}
    {%- set asks_partitions = are_keys_fewer_than_rows(target_relation, key_columns) -%}
    {%- if asks_partitions -%}
        {#- Every partition has an index of its own; the planner thinks it cheaper to read the partitions than to ask them. -#}
        {%- do run_query('set local enable_hashjoin = off; set local enable_mergejoin = off') -%}
    {%- endif -%}
    {%- set periods = periods_of_batch(target_relation, temp_relation, key_columns) -%}

    create temporary table applied_changes () on commit drop;
    create index on {{ temp_relation }} ({{ unique_key | join(', ') }});
    analyze {{ temp_relation }};

    with gone as (
        delete from {{ target_relation }} as old_row
        where {{ is_key_of_this_run('old_row', key_columns) }}
            and {{ prune_to_batch('old_row', periods) }}
            and not exists (
                select 1
                from {{ temp_relation }} as new_row
                where {{ have_same_key(unique_key) }}
                    and ({{ prefixed('new_row', columns) }}) is not distinct from ({{ prefixed('old_row', columns) }})
            )
        returning {{ tracked_keys_of('old_row', tracked) }} as keys
    )
    {{ write_down_keys('gone', tracked) }};

    with come as (
        insert into {{ target_relation }} as new_row ({{ columns | join(', ') }})
        select {{ columns | join(', ') }}
        from {{ temp_relation }} as new_row
        where not exists (
            select 1
            from {{ target_relation }} as old_row
            where {{ have_same_key(unique_key) }}
                and {{ prune_to_batch('old_row', periods) }}
        )
        returning {{ tracked_keys_of('new_row', tracked) }} as keys
    )
    {{ write_down_keys('come', tracked) }}
    {%- if tracked and is_backfill() and has_asked_for_keys() %};

    {#- A backfill doubts what stands further down as well: all its keys go on, changed or not. -#}
    with filled as (
        select {{ tracked_keys_of('new_row', tracked) }} as keys
        from {{ temp_relation }} as new_row
    )
    {{ write_down_keys('filled', tracked) }}
    {%- endif %}
{%- endmacro %}


{% macro are_keys_fewer_than_rows(relation, key_columns) -%}
    {#- Asking one partition for one key costs about as much as reading two of its rows. -#}
    {%- if config.get('partition_by') and key_columns -%}
        {%- set query -%}
            select (select count(*) from changed_keys) * count(*) * 2 < coalesce(sum(pg_class.reltuples), 0)
            from pg_inherits
            inner join pg_class on pg_inherits.inhrelid = pg_class.oid
            where pg_inherits.inhparent = '{{ relation }}'::regclass
        {%- endset -%}
        {{ return(run_query(query)[0][0]) }}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{% macro is_key_of_this_run(alias, key_columns) -%}
    {%- if key_columns -%}
        ({{ prefixed(alias, key_columns) }}) in (select {{ key_columns | join(', ') }} from changed_keys)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{% macro key_columns_of_this_run() -%}
    {#- None when the run concerns all keys, and no table of them was made. -#}
    {{ return(run_query(
        "select attname from pg_attribute where attrelid = to_regclass('pg_temp.changed_keys') and attnum > 0 order by attnum"
    ) | map(attribute='attname') | list) }}
{%- endmacro %}


{% macro has_asked_for_keys() -%}
    {#- False for a model that is compared whole each time, whose rows no backfill concerns. -#}
    {{ return(run_query("select to_regclass('pg_temp.this_run') is not null")[0][0]) }}
{%- endmacro %}


{% macro have_same_key(unique_key) -%}
    {%- for column in unique_key -%}
        {{ ' and ' if not loop.first }}new_row.{{ column }} = old_row.{{ column }}
    {%- endfor -%}
{%- endmacro %}


{% macro prefixed(alias, columns) -%}
    {%- for column in columns -%}
        {{ alias }}.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{% macro tracked_keys_of(alias, tracked) -%}
    {%- if tracked -%}
        jsonb_build_object({% for column in tracked %}'{{ column }}', {{ alias }}.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
    {%- else -%}
        1
    {%- endif -%}
{%- endmacro %}


{% macro write_down_keys(changes, tracked) -%}
    {%- if tracked -%}
        insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
        select distinct '{{ model.name }}', pg_current_xact_id(), keys
        from {{ changes }}
    {%- else -%}
        select count(*) from {{ changes }}
    {%- endif -%}
{%- endmacro %}
