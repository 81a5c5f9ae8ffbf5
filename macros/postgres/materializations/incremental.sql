{% materialization incremental, adapter='postgres' %}
    {#- dbt's own materialization, except that a run whose upstreams have nothing new only moves its watermarks. -#}
    {%- set found = read_together(state_of_unchanged()) if may_be_unchanged() else {} -%}
    {%- if not is_unchanged(found) -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}

    {%- do leave_alone() -%}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {{ return(commit_model(this.incorporate(type='table'), should_revoke=true, found=found)) }}
{% endmaterialization %}


{% macro may_be_unchanged() -%}
    {#- A hook outside the transaction would end it, and with it the lock of the model. -#}
    {{ return(
        config.get('incremental_strategy') == 'changed_keys' and not pre_hooks | rejectattr('transaction') | list
    ) }}
{%- endmacro %}


{% macro state_of_unchanged() -%}
    {%- set queries = state_after_build() -%}
    {#- A table that was never written has no pages. -#}
    {%- do queries.update({
        'keys': "select pg_relation_size(to_regclass('pg_temp.changed_keys')) = 0 as are_none, " ~ fits_contract(this) ~ ' as fits_contract',
        'shapes': query_of_shape(this),
    }) -%}
    {{ return(queries) }}
{%- endmacro %}


{% macro is_unchanged(found) -%}
    {%- if not found or not found['keys'][0]['are_none'] or not found['keys'][0]['fits_contract'] -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set partition_by = read_partition_by() -%}
    {%- if (found.shapes[0]['shape'] if found.shapes else '') != wanted_shape(partition_by) -%}
        {{ return(false) }}
    {%- elif partition_by -%}
        {#- Rows of the default partition move as soon as a build creates a partition for them. -#}
        {%- set default_partition = default_partition_of(this) -%}
        {{ return(
            (default_partition is not none) == partition_by.default_partition
            and (default_partition is none or not run_query('select exists (select from ' ~ default_partition ~ ')')[0][0])
        ) }}
    {%- endif -%}
    {{ return(true) }}
{%- endmacro %}
