{% macro begin_model(sql, stored_relation=none) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- call statement('lock') -%}
        {{ lock_model() }}
    {%- endcall -%}
    {%- if stored_relation -%}
        {#- Before the query runs: it may read a backup, which another build waits to drop. -#}
        {%- do lock_out_maintenance('array[' ~ regclass_of(stored_relation) ~ ']', 'could not be rebuilt') -%}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}


{% macro commit_model(relation, should_revoke, backup=none) -%}
    {%- do apply_grants(relation, config.get('grants'), should_revoke=should_revoke) -%}
    {%- do persist_docs(relation, model) -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ drop_relation_if_exists(backup) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [relation]}) }}
{%- endmacro %}
