{% macro nodes_of_refs(relations) -%}
    {%- set nodes = [] -%}
    {%- for relation in relations -%}
        {%- for unique_id in model.depends_on.nodes if not unique_id.startswith('source.') -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- if (node.schema, node.alias) == (relation.schema, relation.identifier) -%}
                {%- do nodes.append(node) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(nodes) }}
{%- endmacro %}


{% macro check_logged_keys(columns, nodes) -%}
    {%- for node in nodes if not is_staged(node) -%}
        {%- set logged = logged_keys_of_node(node) -%}
        {%- for column in columns if column not in logged -%}
            {{ exceptions.raise_compiler_error(
                'keys_to_test in ' ~ model.name ~ ' is given the column ' ~ column ~ ' of ' ~ node.name ~ ', which logs '
                ~ (logged | join(', ') or 'no changed keys') ~ '. Follow another table, or set meta.change_log_keys of ' ~ node.name ~ '.'
            ) }}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}


{% macro is_staged(node) -%}
    {#- Whether a row of the view changes only with a load of its own. The view of a table that is absent reads nothing. -#}
    {%- for unique_id in node.depends_on.nodes if not unique_id.startswith('source.') or node.depends_on.nodes | length > 1 -%}
        {{ return(false) }}
    {%- endfor -%}
    {{ return(
        node.resource_type == 'model' and node.config.materialized == 'view'
        and '_loaded_at' in node.columns and '_row_xid' in node.columns
    ) }}
{%- endmacro %}


{% macro logs_changed_keys(node) -%}
    {{ return(node.config.get('materialized') == 'incremental' and node.config.get('incremental_strategy') == 'changed_keys') }}
{%- endmacro %}


{% macro logged_keys_of_node(node) -%}
    {{ return(change_log_keys(node) if logs_changed_keys(node) else []) }}
{%- endmacro %}


{% macro follows_tables(test) -%}
    {#- Whether the test remembered what it reads. A table that it reads and does not follow would change unseen. -#}
    {%- set is_there = may_record_test() and run_query("select to_regclass('pg_temp.tested_tables') is not null")[0][0] -%}
    {%- if is_there and not test.attached_node -%}
        {%- set followed = run_query('select upstream_name from tested_tables').columns[0].values() -%}
        {%- for unique_id in test.depends_on.nodes if graph.nodes[unique_id].config.materialized in ['incremental', 'snapshot', 'table'] -%}
            {%- if state_name(graph.nodes[unique_id]) not in followed -%}
                {{ exceptions.raise_compiler_error(
                    test.name ~ ' reads ' ~ graph.nodes[unique_id].name ~ ', and no keys_to_test of it follows that table: its changes would not be asked of.'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(is_there) }}
{%- endmacro %}


{% macro relation_of_node(node) -%}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
{%- endmacro %}
