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


{% macro relation_of_node(node) -%}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)) }}
{%- endmacro %}


{% macro seeds_of_test() -%}
    {#- They are small, and compared as a whole. -#}
    {%- set seeds = [] -%}
    {%- for unique_id in model.depends_on.nodes if unique_id.startswith('seed.') -%}
        {%- do seeds.append(graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {{ return(seeds) }}
{%- endmacro %}


{% macro are_null(columns) -%}
    {%- set conditions = [] -%}
    {%- for column in columns -%}
        {%- do conditions.append(column ~ ' is null') -%}
    {%- endfor -%}
    {{ return(conditions | join(' or ')) }}
{%- endmacro %}


{% macro view_says(node, pattern) -%}
    {#- Texts in the definition may say the same: then the test is asked of everything. -#}
    {%- set definition = "pg_get_viewdef(to_regclass('" ~ relation_of_node(node) ~ "'))" -%}
    {{ return(run_query("select coalesce(" ~ definition ~ " ~* '" ~ pattern ~ "', true)")[0][0]) }}
{%- endmacro %}
