{% macro create_clv_parameters() -%}
    {#- `warehouse clv fit` requires this table. -#}
    {%- set parameters = clv_parameters() -%}
    {#- Two first runs at the same time would both try to create; the lock ends with the transaction. -#}
    select pg_advisory_xact_lock(hashtext('{{ parameters }}'));

    {%- set definition %}
    create table {{ parameters }} (
        version bigint generated always as identity primary key,
        model text not null check (model in ('bg-nbd', 'mbg-nbd')),
        unit text not null default 'week' check (unit = 'week'),
        as_of timestamptz not null,
        fitted_at timestamptz not null default clock_timestamp(),
        refused_because text,
        users bigint not null,
        repeaters bigint not null,
        {%- for name in ['r', 'alpha', 'a', 'b', 'p', 'q', 'v'] %}
        {{ name }} double precision check ({{ name }} > 0),
        {{ name }}_standard_error double precision check ({{ name }}_standard_error >= 0),
        {%- endfor %}
        {%- for pair in clv_covariances() %}
        {{ pair }} double precision,
        {%- endfor %}
        purchase_log_likelihood double precision,
        spending_log_likelihood double precision,
        spending_correlation double precision,
        constraint a_trusted_version_is_complete check (
            refused_because is not null
            or (
                num_nulls(r, alpha, a, b, p, q, v, {{ clv_covariances() | join(', ') }}) = 0
                and r <= 10
                and r <= 7 * alpha
                and alpha >= 0.02
                and a <= 100
                and q > 1
            )
        )
    );
    comment on table {{ parameters }} is
        'One row per run of `warehouse clv fit`: the parameters of the predicted lifetime value, or why the fit was refused. Covariances are those of the logarithms.';
    {%- endset %}
    {{ create_table_if_missing(parameters, definition) }}
{%- endmacro %}
