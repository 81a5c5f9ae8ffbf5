{% macro get_incremental_changed_keys_sql(arguments) -%}
    {#-
        The incremental strategy changed_keys: for the keys of this run the target becomes what the model returns; other rows
        are not touched.
    -#}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set temp_relation = arguments['temp_relation'] -%}
    {%- set unique_key = as_list(arguments['unique_key']) -%}
    {%- set logged = change_log_keys(model) -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | list -%}
    {%- if flags.EMPTY -%}
        {#- Without rows there is nothing to compare with; existing rows stay. -#}
        {{ return('create temporary table applied_changes (lost_keys bigint) on commit drop') }}
    {%- endif -%}

    {%- set key_columns = key_columns_of_this_run() -%}
    {%- set old_rows = old_rows_of_this_run(target_relation, key_columns, temp_relation, unique_key) -%}
    {%- set key = unique_key | join(', ') -%}
    {#- Without keys, both sides are whole tables, of which a day changes little: the keys whose rows differ are few. -#}
    {%- call statement('different_rows') -%}
        {{ check_key_is_not_null(temp_relation, unique_key) }}
        {{ check_never_null(temp_relation, unique_key) }}
        {{ check_rows_are_of_this_run(temp_relation, key_columns) if key_columns }}
        analyze {{ temp_relation }} ({{ key }});

        create temporary table different_rows on commit drop as
        select
            {%- for column in unique_key %}
            coalesce(new_row.{{ column }}, old_row.{{ column }}) as {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ temp_relation }} as new_row
        full join {{ old_rows }} as old_row on {{ have_same_key(unique_key) }}
        where ({{ prefixed('new_row', columns) }}) is distinct from ({{ prefixed('old_row', columns) }});

        analyze different_rows;
        {%- if key_columns %}

        delete from {{ old_rows }} as old_row
        where not exists (select 1 from different_rows as new_row where {{ have_same_key(unique_key) }});
        {%- endif %}
    {%- endcall -%}

    {#- A key that no other row has any more may leave rows of other tables without the row that they refer to. -#}
    create temporary table applied_changes on commit drop as
    select
        count(*) as lost_keys,
        {{ counted_changes(target_relation, of_this_transaction=true) }} as changes_before
    from different_rows as old_row
    where not exists (select 1 from {{ temp_relation }} as new_row where {{ have_same_key(unique_key) }});

    with deleted as (
        delete from {{ target_relation }} as old_row
        {%- if key_columns %}
        where ({{ prefixed('old_row', unique_key) }}) in (select {{ key }} from {{ old_rows }})
            and {{ prune_to_rows('old_row', target_relation, old_rows) }}
        {%- else %}
        where ({{ prefixed('old_row', unique_key) }}) in (select {{ key }} from different_rows)
        {%- endif %}
        returning {{ logged_keys_of('old_row', logged) }} as keys
    )
    {{ log_keys('deleted') }};
    {%- if not key_columns %}

    {#- Rows from before unique_key had this column; no row is computed with a null in it. #}
    with deleted as (
        delete from {{ target_relation }} as old_row
        where {% for column in unique_key %}old_row.{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
        returning {{ logged_keys_of('old_row', logged) }} as keys
    )
    {{ log_keys('deleted') }};
    {%- endif %}

    {%- set is_audited = tests_of_run() | length > 0 %}
    {%- if is_audited %}

    create temporary table written_rows (like {{ target_relation }}) on commit drop;
    {%- endif %}

    with {{ 'written' if is_audited else 'inserted' }} as (
        insert into {{ target_relation }} as new_row ({{ columns | join(', ') }})
        select {{ columns | join(', ') }}
        from {{ temp_relation }} as new_row
        where ({{ prefixed('new_row', unique_key) }}) in (select {{ key }} from different_rows)
        returning {{ 'new_row.*' if is_audited else logged_keys_of('new_row', logged) ~ ' as keys' }}
    )
    {%- if is_audited %},

    kept as (
        insert into written_rows select * from written
    ),

    inserted as (
        select {{ logged_keys_of('written', logged) }} as keys from written
    )
    {%- endif %}
    {{ log_keys('inserted') }}
    {%- if logged and is_backfill() and has_asked_for_keys() and not compares_all_rows() %};

    {#- A backfill also rebuilds what is downstream: it logs all its keys, changed or not. -#}
    with filled as (
        select {{ logged_keys_of('new_row', logged) }} as keys
        from {{ temp_relation }} as new_row
    )
    {{ log_keys('filled') }}
    {%- endif %}
{%- endmacro %}


{% macro check_rows_are_of_this_run(relation, key_columns) -%}
    {#- SQL that stops if the query returns rows of other keys: nothing was compared with them, and many would be there twice. -#}
    do $check_keys$
    declare
        found text;
    begin
        select ({{ prefixed('new_row', key_columns) }})::text into found
        from {{ relation }} as new_row
        where not exists (
            select from changed_keys
            where {% for column in key_columns %}changed_keys.{{ column }} = new_row.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        )
        {%- for column in key_columns %}
        and new_row.{{ column }} is not null
        {%- endfor %}
        limit 1;
        if found is not null then
            raise exception using message = format(
                '{{ model.name }}: the query returns a row of {{ key_columns | join(', ') }} %s, which is not among the keys of this run. Filter each relation'
                ' that has the key with is_changed, and select the key as it is.',
                found
            );
        end if;
    end
    $check_keys$;
{%- endmacro %}


{% macro old_rows_of_this_run(relation, key_columns, new_rows, unique_key) -%}
    {#- A copy of the existing rows of the keys of this run; for all keys, the table itself. -#}
    {%- if not key_columns -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set keys = key_columns | join(', ') -%}
    {%- call statement('old_rows') -%}
        create temporary table old_rows on commit drop as
        select * from {{ relation }}
        {%- if key_columns | length == 1 and are_keys_fewer_than_rows(relation) %}
        {#-
            The planner estimates that reading all partitions is cheaper than asking their indexes. For a sorted list they
            answer in one pass.
        #}
        where {{ keys }} = any(array(select {{ keys }} from changed_keys order by {{ keys }}))
        {%- else %}
        where ({{ keys }}) in (select {{ keys }} from changed_keys)
        {%- endif %}
        {%- if key_columns != unique_key %}
        {#- A row with a null key, such as the unknown member of a dimension, belongs to no key of a run. #}
        union all
        select * from {{ relation }}
        where ({{ unique_key | join(', ') }}) in (
            select {{ unique_key | join(', ') }} from {{ new_rows }}
            where (({{ keys }}) in (select {{ keys }} from changed_keys)) is not true
        )
        {%- endif %};

        analyze old_rows;
    {%- endcall -%}
    {{ return(api.Relation.create(identifier='old_rows')) }}
{%- endmacro %}


{% macro are_keys_fewer_than_rows(relation) -%}
    {#- Asking one partition for one key costs about as much as reading two of its rows. -#}
    {%- set query -%}
        select (select count(*) from changed_keys) * count(*) * 2 < coalesce(sum(pg_class.reltuples), 0)
        from pg_inherits
        inner join pg_class on pg_inherits.inhrelid = pg_class.oid
        where pg_inherits.inhparent = '{{ relation }}'::regclass
    {%- endset -%}
    {{ return(config.get('partition_by') and run_query(query)[0][0]) }}
{%- endmacro %}


{% macro key_columns_of_this_run() -%}
    {#- Empty if the run covers all keys: then there is no table of them. -#}
    {{ return(run_query(
        "select attname from pg_attribute where attrelid = to_regclass('pg_temp.changed_keys') and attnum > 0 order by attnum"
    ) | map(attribute='attname') | list) }}
{%- endmacro %}


{% macro has_asked_for_keys() -%}
    {{ return(run_query("select to_regclass('pg_temp.this_run') is not null")[0][0]) }}
{%- endmacro %}


{% macro compares_all_rows() -%}
    {#- A backfill does not affect such a model. -#}
    {%- for unique_id in model.depends_on.macros if unique_id.endswith('.skip_unless_changed') -%}
        {{ return(true) }}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}


{% macro have_same_key(unique_key) -%}
    {%- for column in unique_key -%}
        {{ ' and ' if not loop.first }}new_row.{{ column }} = old_row.{{ column }}
    {%- endfor -%}
{%- endmacro %}


{% macro logged_keys_of(alias, logged) -%}
    {#- Without columns to log an empty object, which says only that something changed. -#}
    jsonb_build_object({% for column in logged %}'{{ column }}', {{ alias }}.{{ column }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}


{% macro log_keys(changes) -%}
    insert into {{ state_relation('key_changes') }} (model_name, written_by, changed_keys)
    select distinct '{{ state_name(model) }}', pg_current_xact_id(), keys
    from {{ changes }}
{%- endmacro %}
