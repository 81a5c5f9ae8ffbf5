{% materialization clone, adapter='postgres' %}
    {#-
        dbt's own creates a view through the materialization and the hooks of the model, which assume a build. A snapshot is
        copied, because it must be written to and cannot be built again.
    -#}
    {%- set is_snapshot = model.resource_type == 'snapshot' -%}
    {%- set existing_relation = load_cached_relation(this) if defer_relation -%}
    {%- if not defer_relation or defer_relation | string == this | string or existing_relation is not none and not flags.FULL_REFRESH -%}
        {%- do log(
            this ~ (': the state knows no relation of it.' if not defer_relation else ' is not cloned, because it exists.'), info=true
        ) -%}
        {{ return({'relations': []}) }}
    {#- Not from dbt's cache: a thread may find it while another fills it, and it takes other databases for this one. -#}
    {%- elif defer_relation.database != this.database or relation_in_catalog(defer_relation) is none -%}
        {{ exceptions.raise_compiler_error(
            this ~ ' cannot be cloned: the relation ' ~ defer_relation ~ ' of the state does not exist in this database. Build it there first, or exclude '
            ~ model.name ~ '.'
        ) }}
    {%- elif is_snapshot and existing_relation is not none and existing_relation.is_table -%}
        {{ exceptions.raise_compiler_error(
            this ~ ' cannot be cloned with --full-refresh: it is a snapshot, and its rows would be lost. Exclude ' ~ model.name
            ~ ', or rename or drop the table yourself.'
        ) }}
    {%- endif -%}

    {%- set kind = 'table' if is_snapshot else 'view' -%}
    {%- set target_relation = this.incorporate(type=kind) -%}
    {%- set new_relation = make_intermediate_relation(target_relation) -%}
    {%- set old_relation = make_backup_relation(target_relation, existing_relation.type if existing_relation else kind) -%}
    {{ drop_relation_if_exists(load_cached_relation(new_relation)) }}
    {{ drop_relation_if_exists(load_cached_relation(old_relation)) }}
    {%- call statement('main') -%}
        {#- A policy must not hide rows of a snapshot. #}
        set local row_security = off;
        create {{ kind }} {{ new_relation }} as
        select *
        from {{ defer_relation }};
        set local row_security to default
    {%- endcall -%}
    {%- if existing_relation is not none -%}
        {%- do adapter.rename_relation(existing_relation, old_relation) -%}
    {%- endif -%}
    {%- do adapter.rename_relation(new_relation, target_relation) -%}
    {%- do apply_grants(target_relation, config.get('grants'), should_revoke=existing_relation is not none) -%}
    {%- do persist_docs(target_relation, model) -%}
    {%- do adapter.commit() -%}
    {{ drop_relation_if_exists(old_relation if existing_relation is not none else none) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
