{% macro reconcile_indexes(rows=none) -%}
    {%- do has_reconciled_indexes(rows) -%}
{%- endmacro %}


{% macro has_reconciled_indexes(rows=none) -%}
    {#-
        Runs outside the transaction. One query of the catalog tells whether anything changed; usually nothing did, and nothing
        is locked.
    -#}
    {%- if execute and model.config.materialized in materializations_with_indexes() -%}
        {%- set plan = plan_of_indexes(rows) -%}
        {%- if plan -%}
            {%- set lock = "hashtext('indexes'), hashtext('" ~ this ~ "')" -%}
            {#-
                Never waits for the lock: a waiting session holds a snapshot, and the creation of a concurrent index waits for
                snapshots.
            -#}
            {%- if run_query('select pg_try_advisory_lock(' ~ lock ~ ')')[0][0] -%}
                {%- do carry_out_indexes(plan_of_indexes()) -%}
                {%- do run_query('select pg_advisory_unlock(' ~ lock ~ ')') -%}
                {{ return(true) }}
            {%- else -%}
                {%- do log(this.identifier ~ ': skipping indexes: another build is updating them.', info=true) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}


{% macro plan_of_indexes(rows=none) -%}
    {#- None if every declared index exists, and no other one of these macros. -#}
    {%- set state = read_indexes(rows) -%}
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
        {%- if found['used_by'] -%}
            {%- do exceptions.warn(
                this.identifier ~ ': the index ' ~ found['name'] ~ ' is no longer declared, and stays, because it serves ' ~ found['used_by']
                ~ '. Let another index serve that, then build again.'
            ) -%}
        {%- else -%}
            {%- do plan.drop.append(found) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(plan if plan.make or plan.complete or plan.finish or plan.comment or plan.drop else none) }}
{%- endmacro %}


{% macro carry_out_indexes(plan) -%}
    {#- Replacements are created before the indexes that they replace are dropped. If it is killed, the next run continues. -#}
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


{% macro name_index(index) -%}
    {#- The hash is the name until the index is finished; name and comment change in one transaction. -#}
    {%- set schema = adapter.quote(this.schema) -%}
    {%- set name = claimed_index_name(index.name) -%}
    {%- do run_query(
        'alter index ' ~ schema ~ '.' ~ adapter.quote(index.hash) ~ ' rename to ' ~ adapter.quote(name) ~ '; '
        ~ comment_on_index(name, index.comment)
    ) -%}
{%- endmacro %}
