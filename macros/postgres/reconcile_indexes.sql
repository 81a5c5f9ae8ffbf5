{% macro reconcile_indexes() -%}
    {#-
        A post-hook outside of the transaction. One query of the catalog says whether there is anything to do;
        mostly there is not, and nothing is locked.
    -#}
    {%- if execute and model.config.materialized in materializations_with_indexes() -%}
        {%- set plan = plan_of_indexes() -%}
        {%- if plan -%}
            {%- set lock = "hashtext('indexes'), hashtext('" ~ this ~ "')" -%}
            {#- Tried, never waited for: who waits has a snapshot, and a concurrent index waits for snapshots. -#}
            {%- if run_query('select pg_try_advisory_lock(' ~ lock ~ ')')[0][0] -%}
                {%- do carry_out_indexes(plan_of_indexes()) -%}
                {%- do run_query('select pg_advisory_unlock(' ~ lock ~ ')') -%}
            {%- else -%}
                {%- do log(this.identifier ~ ': another build is at its indexes; they are left to it.', info=true) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro plan_of_indexes() -%}
    {#- None when every index is there as declared, and no other one of ours. -#}
    {%- set state = read_indexes() -%}
    {%- if not state -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set plan = {'make': [], 'complete': [], 'finish': [], 'comment': [], 'drop': [], 'is_partitioned': state.is_partitioned} -%}
    {%- set kept = [] -%}
    {%- for index in declared_indexes(columns_of_contract() or state.columns) -%}
        {%- set same = state.indexes | selectattr('hash', 'equalto', index.hash) | list -%}
        {%- set unfinished = state.indexes | selectattr('name', 'equalto', index.hash) | selectattr('is_valid') | list -%}
        {%- if same and same[0]['is_valid'] -%}
            {%- do kept.append(same[0]['index_oid']) -%}
            {%- if same[0]['comment'] != index.comment -%}
                {%- do plan.comment.append(comment_on_index(same[0]['name'], index.comment)) -%}
            {%- endif -%}
        {%- elif same and state.is_partitioned -%}
            {%- do kept.append(same[0]['index_oid']) -%}
            {%- do plan.complete.append({'index': index, 'name': same[0]['name']}) -%}
        {%- elif unfinished -%}
            {%- do kept.append(unfinished[0]['index_oid']) -%}
            {%- do plan.finish.append(index) -%}
        {%- else -%}
            {%- do plan.make.append(index) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for found in state.indexes if found['index_oid'] not in kept -%}
        {%- do plan.drop.append(found) -%}
    {%- endfor -%}
    {{ return(plan if plan.make or plan.complete or plan.finish or plan.comment or plan.drop else none) }}
{%- endmacro %}


{% macro carry_out_indexes(plan) -%}
    {#- What replaces comes first, then what it replaces goes. Killed anywhere, the next run takes it up. -#}
    {%- if plan -%}
        {%- for found in plan.drop if not found['is_valid'] -%}
            {%- do drop_index(found, plan.is_partitioned) -%}
        {%- endfor -%}
        {%- for index in plan.make -%}
            {%- do check_uniqueness(index) -%}
            {%- if plan.is_partitioned -%}
                {%- do create_partitioned_index(index) -%}
            {%- else -%}
                {%- do create_index_concurrently(this, index.hash, index) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for unfinished in plan.complete -%}
            {%- do check_uniqueness(unfinished.index) -%}
            {%- do complete_partitioned_index(
                adapter.quote(this.schema) ~ '.' ~ adapter.quote(unfinished.name), this, unfinished.index
            ) -%}
        {%- endfor -%}
        {%- for found in plan.drop if found['is_valid'] -%}
            {%- do drop_index(found, plan.is_partitioned) -%}
        {%- endfor -%}
        {%- for statement in plan.comment -%}
            {%- do run_query(statement) -%}
        {%- endfor -%}
        {%- for index in plan.finish + ([] if plan.is_partitioned else plan.make) -%}
            {%- do name_index(index) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro create_index_concurrently(relation, name, index) -%}
    {%- do log(this.identifier ~ ': making the index ' ~ index.name ~ ' on ' ~ relation ~ '.', info=true) -%}
    {%- do run_patiently(
        'create ' ~ index.unique ~ 'index concurrently ' ~ adapter.quote(name) ~ ' on ' ~ relation ~ ' ' ~ index.definition
    ) -%}
{%- endmacro %}


{% macro name_index(index) -%}
    {#- Its hash was its name until it was done; name and comment come in one transaction. -#}
    {%- set schema = adapter.quote(this.schema) -%}
    {%- set name = claimed_index_name(index.name) -%}
    {%- do run_query(
        'alter index ' ~ schema ~ '.' ~ adapter.quote(index.hash) ~ ' rename to ' ~ adapter.quote(name) ~ '; '
        ~ comment_on_index(name, index.comment)
    ) -%}
{%- endmacro %}


{% macro create_partitioned_index(index) -%}
    {#- The parent's part is an entry in the catalog, no more; the rows are read child by child. -#}
    {%- set name = claimed_index_name(index.name) -%}
    {%- do run_query(try_patiently(
        'create ' ~ index.unique ~ 'index ' ~ adapter.quote(name) ~ ' on only ' ~ this ~ ' ' ~ index.definition ~ '; '
        ~ comment_on_index(name, index.comment),
        'the index ' ~ name ~ ' of ' ~ this ~ ' could not be made'
    )) -%}
    {%- do complete_partitioned_index(adapter.quote(this.schema) ~ '.' ~ adapter.quote(name), this, index) -%}
{%- endmacro %}


{% macro complete_partitioned_index(parent_index, parent, index) -%}
    {%- set query -%}
        select
            pg_namespace.nspname::text as schema_name,
            children.relname::text as table_name,
            children.relkind = 'p' as is_partitioned,
            (
                select format('%I.%I', schemas.nspname, names.relname)
                from pg_inherits as attached
                inner join pg_index on attached.inhrelid = pg_index.indexrelid
                inner join pg_class as names on pg_index.indexrelid = names.oid
                inner join pg_namespace as schemas on names.relnamespace = schemas.oid
                where attached.inhparent = '{{ parent_index }}'::regclass and pg_index.indrelid = children.oid
            ) as attached_index
        from pg_inherits
        inner join pg_class as children on pg_inherits.inhrelid = children.oid
        inner join pg_namespace on children.relnamespace = pg_namespace.oid
        where pg_inherits.inhparent = '{{ parent }}'::regclass
        order by children.relname
    {%- endset -%}
    {%- for child in run_query(query) -%}
        {%- set schema = adapter.quote(child['schema_name']) -%}
        {%- set table = schema ~ '.' ~ adapter.quote(child['table_name']) -%}
        {%- set name = index_name(child['table_name'], suffix_of_children(index.hash)) -%}
        {%- set child_index = child['attached_index'] or schema ~ '.' ~ adapter.quote(name) -%}
        {%- set found = run_query(
            "select indisvalid from pg_index where indexrelid = to_regclass('" ~ child_index ~ "') and indrelid = '" ~ table ~ "'::regclass"
        ) -%}
        {%- if child['is_partitioned'] -%}
            {%- if not found -%}
                {%- do run_query(try_patiently(
                    'create ' ~ index.unique ~ 'index ' ~ adapter.quote(name) ~ ' on only ' ~ table ~ ' ' ~ index.definition,
                    'the index ' ~ name ~ ' of ' ~ table ~ ' could not be made'
                )) -%}
            {%- endif -%}
            {%- do complete_partitioned_index(child_index, table, index) -%}
        {%- elif not found or not found[0]['indisvalid'] -%}
            {%- if found -%}
                {%- do run_patiently('drop index concurrently ' ~ child_index) -%}
            {%- endif -%}
            {%- do create_index_concurrently(table, name, index) -%}
        {%- endif -%}
        {%- if not child['attached_index'] -%}
            {#- Whoever plans a query on the child holds its index till the end of the transaction, also one that is not attached. -#}
            {%- do run_query(try_patiently(
                'alter index ' ~ parent_index ~ ' attach partition ' ~ child_index,
                'the part ' ~ child_index ~ ' of the index ' ~ parent_index ~ ' could not be attached',
                table=table
            )) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}


{% macro suffix_of_children(hash) -%}
    {{ return('_' ~ hash[:8] ~ '_idx') }}
{%- endmacro %}


{% macro drop_index(found, is_partitioned) -%}
    {%- set query -%}
        select format('%I.%I', nspname, relname)
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_class.oid = {{ found['index_oid'] }}
    {%- endset -%}
    {%- set name = run_query(query)[0][0] -%}
    {%- do log(this.identifier ~ ': dropping the index ' ~ name ~ '.', info=true) -%}
    {%- if is_partitioned -%}
        {#- PostgreSQL cannot drop an index of a parent concurrently; parts that were not attached stay, so they go first. -#}
        {%- set query -%}
            select format('%I.%I', nspname, names.relname)
            from pg_partition_tree('{{ this }}') as tree
            inner join pg_index on tree.relid = pg_index.indrelid
            inner join pg_class as names on pg_index.indexrelid = names.oid
            inner join pg_namespace on names.relnamespace = pg_namespace.oid
            where right(names.relname, 13) = '{{ suffix_of_children(found["hash"] or found["name"]) }}'
                and names.relkind = 'i'
                and not names.relispartition
        {%- endset -%}
        {%- for left_over in run_query(query) -%}
            {%- do run_patiently('drop index concurrently ' ~ left_over[0]) -%}
        {%- endfor -%}
        {%- do run_query(lock_patiently(this, 'the index ' ~ name ~ ' of ' ~ this ~ ' could not be dropped', 'drop index ' ~ name)) -%}
    {%- else -%}
        {%- do run_patiently('drop index concurrently ' ~ name) -%}
    {%- endif -%}
{%- endmacro %}


{% macro check_uniqueness(index) -%}
    {#- PostgreSQL would find it too, after it has made what has to be dropped again. -#}
    {%- if index.unique -%}
        {%- set query -%}
            select
                concat_ws(', ', {% for key in index['keys'] %}coalesce(({{ key }})::text, 'null'){{ ', ' if not loop.last }}{% endfor %}) as key_value,
                count(*) as rows_of_key
            from {{ this }}
            where {{ '(' ~ index.where ~ ')' if index.where else 'true' }}
                {%- if not index.nulls_not_distinct %}
                {%- for key in index['keys'] %}
                and ({{ key }}) is not null
                {%- endfor %}
                {%- endif %}
            group by {{ index['keys'] | join(', ') }}
            having count(*) > 1
            limit 1
        {%- endset -%}
        {%- for double in run_query(query) -%}
            {{ exceptions.raise_compiler_error(
                this.identifier ~ ': the index ' ~ index.name ~ ' cannot be unique, because ' ~ double['rows_of_key'] ~ ' rows have the key ('
                ~ index['keys'] | join(', ') ~ ') = (' ~ double['key_value'] ~ '); it takes one row of each key.'
            ) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro run_patiently(sql) -%}
    {#- What works concurrently waits for the transactions of others, the other models of this build among them, and nobody waits for it. -#}
    {%- do run_query("set lock_timeout = '" ~ var('index_lock_timeout') ~ "'") -%}
    {%- do run_query(sql) -%}
    {%- do run_query('reset lock_timeout') -%}
{%- endmacro %}
