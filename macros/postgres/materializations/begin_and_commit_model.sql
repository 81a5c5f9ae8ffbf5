{% macro begin_model() -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- call statement('lock') -%}
        {{ lock_model() }}
    {%- endcall -%}
{%- endmacro %}


{% macro check_contract(sql) -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}


{% macro commit_model(relation, should_revoke, backup=none, found=none) -%}
    {%- do apply_grants(relation, config.get('grants'), should_revoke=should_revoke) -%}
    {%- do persist_docs(relation, model) -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ drop_relation_if_exists(backup) }}
    {%- if has_hooks_after_commit(found) -%}
        {{ run_hooks(post_hooks, inside_transaction=False) }}
    {%- endif -%}

    {{ return({'relations': [relation]}) }}
{%- endmacro %}


{% macro has_hooks_after_commit(found) -%}
    {#- dbt commits once more before them, and after_build would read the catalog, so both are left out if nothing is to be done. -#}
    {{ return(
        post_hooks | rejectattr('transaction') | map(attribute='sql') | map('trim') | reject('equalto', '{{ after_build() }}') | list | length > 0
        or model.config.materialized in materializations_with_indexes() and (found is none or has_work_after_build(found))
    ) }}
{%- endmacro %}
