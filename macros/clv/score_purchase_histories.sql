{% macro score_purchase_histories(histories, parameters) -%}
    {#-
        The conditional expectation of BG/NBD by the Euler-transformed series of Gauss' function, for who is alive:

            E = C * ((1 - w^(a-1)) / (a-1) - w^(a-1) * sum(d(n) * z^n, n >= 1))
            C = a + b + x - 1      A = a + b - 1 - r      z = t / (alpha + T + t)      w = 1 - z
            d(n) = (A)_n * (a)_(n-1) / ((C)_n * n!)

        It is C / (a-1) * (1 - w^(a-1) * F(A, a-1; C; z)) with the factor a-1 drawn out of all terms but the first,
        so that nothing is divided by nearly nothing where a is about 1. MBG/NBD is the same with b + 1 for b.
        The division by C itself is left out where C is below 1, because it may be nothing.

        The terms are summed up as whole numbers of 1e-14: their sum is the same in any order, so an incremental
        build gives the digits of a full one. Within the bounds of ml.clv_parameters no term is above 2e18.
        Beyond them a term is cut off at exp(11.4), just below the end of bigint: such a sum is wrong, but it
        stops no build.
    -#}
    {%- set month = 4.345 -%}
    {%- set step = 0.001 -%}
    {#- Numbered: 1 to 12 are months, the others days. -#}
    {%- set horizons = {30: 30 / 7, 90: 90 / 7, 365: 365 / 7} -%}
    {%- for number in range(1, 13) -%}
        {%- do horizons.update({number: month * number}) -%}
    {%- endfor -%}
    {#- Set 0 is the estimate; 1 and -1 have r a little higher and a little lower, 2 and -2 alpha, and so on. -#}
    {%- set by = ['r', 'alpha', 'a', 'b'] -%}
    with

    parameter_sets as (
        select
            0 as set_number,
            r,
            alpha,
            a,
            b + may_leave_at_once as b
        from {{ parameters }}
        {%- for name in by %}
        {%- for side in [1, -1] %}
        union all
        select
            {{ side * (by.index(name) + 1) }} as set_number,
            {%- for other in by %}
            {{ other }}
            {%- if other == name %} * exp({{ side * step }}){% endif %}
            {%- if other == 'b' %} + may_leave_at_once{% endif %} as {{ other }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ parameters }}
        {%- endfor %}
        {%- endfor %}
    ),

    horizons as (
        {%- for name, weeks in horizons.items() %}
        {{ 'union all' if not loop.first }}
        select {{ name }} as horizon, {{ weeks }}::{{ float_type() }} as weeks
        {%- endfor %}
    ),

    evaluations as (
        select
            histories.repeat_purchases,
            histories.age_weeks,
            horizons.horizon,
            sets.set_number,
            sets.r,
            sets.a,
            sets.a + sets.b - 1 - sets.r as upper_a,
            sets.a + sets.b + histories.repeat_purchases - 1 as lower_c,
            ln(horizons.weeks / (sets.alpha + histories.age_weeks + horizons.weeks)) as ln_z,
            ln(
                (sets.alpha + histories.age_weeks)
                / (sets.alpha + histories.age_weeks + horizons.weeks)
            ) as ln_w
        from {{ histories }} as histories
        cross join parameter_sets as sets
        inner join horizons
            on sets.set_number = 0 or horizons.horizon = 12
    ),

    -- Of a class are the z between exp(-2^(1-k)) and exp(-2^-k): they need about as many terms.
    classified as (
        select
            *,
            greatest(ceil(-ln(-ln_z) / ln(2)), -3)::int as z_class
        from evaluations
    ),

    longest_series as (
        select
            set_number,
            repeat_purchases,
            upper_a,
            lower_c,
            a,
            ceil((40 + 12 * greatest(a - 2 - r, 0)) * power(2, max(z_class)))::int as term_count
        from classified
        group by set_number, repeat_purchases, upper_a, lower_c, a, r
    ),

    ratios as (
        select
            longest_series.set_number,
            longest_series.repeat_purchases,
            numbers.n,
            longest_series.a,
            (longest_series.upper_a + numbers.n - 1)
            * case when numbers.n = 1 then 1 else (longest_series.a + numbers.n - 2) / numbers.n end
            / case when numbers.n = 1 then greatest(longest_series.lower_c, 1) else longest_series.lower_c + numbers.n - 1 end
                as ratio
        from longest_series
        cross join {{ numbers_from_one('longest_series.term_count', 'numbers') }}
    ),

    coefficients as (
        select
            set_number,
            repeat_purchases,
            n,
            a,
            -- A ratio of nothing ends the series.
            sum(ln(greatest(abs(ratio), 1e-300))) over (
                partition by set_number, repeat_purchases
                order by n
                rows between unbounded preceding and current row
            ) as ln_size,
            1 - 2 * (
                sum(case when ratio < 0 then 1 else 0 end) over (
                    partition by set_number, repeat_purchases
                    order by n
                    rows between unbounded preceding and current row
                ) % 2
            ) as sign
        from ratios
    ),

    z_classes as (
        select
            set_number,
            repeat_purchases,
            z_class,
            -power(2, -z_class)::{{ float_type() }} as greatest_ln_z
        from classified
        group by 1, 2, 3
    ),

    -- What is smaller than the rounding is left out.
    terms as (
        select
            z_classes.set_number,
            z_classes.repeat_purchases,
            z_classes.z_class,
            coefficients.n,
            coefficients.ln_size,
            coefficients.sign
        from z_classes
        inner join coefficients
            on z_classes.set_number = coefficients.set_number
                and z_classes.repeat_purchases = coefficients.repeat_purchases
        where
            coefficients.ln_size
            + coefficients.n * z_classes.greatest_ln_z
            + greatest((coefficients.a - 1) * ln(1 - exp(z_classes.greatest_ln_z)), 0) > -33
    ),

    summed as (
        select
            classified.repeat_purchases,
            classified.age_weeks,
            classified.set_number,
            classified.horizon,
            classified.a,
            classified.lower_c,
            classified.ln_w,
            sum(
                round(
                    1e14 * terms.sign
                    * exp(
                        least(
                            greatest(
                                terms.ln_size + terms.n * classified.ln_z + (classified.a - 1) * classified.ln_w,
                                -600
                            ),
                            11.4
                        )
                    )
                )::bigint
            ) / 1e14::{{ float_type() }} as tail
        from classified
        left join terms
            on classified.set_number = terms.set_number
                and classified.repeat_purchases = terms.repeat_purchases
                and classified.z_class = terms.z_class
        group by 1, 2, 3, 4, 5, 6, 7
    ),

    expected as (
        select
            repeat_purchases,
            age_weeks,
            set_number,
            horizon,
            -- Rounding may leave less than nothing.
            greatest(
                lower_c * case
                    when abs((a - 1) * ln_w) < 0.001
                        then
                            -ln_w * (
                                1
                                + (a - 1) * ln_w / 2
                                + power((a - 1) * ln_w, 2) / 6
                                + power((a - 1) * ln_w, 3) / 24
                            )
                    else (1 - exp(greatest((a - 1) * ln_w, -600))) / (a - 1)
                end
                - greatest(lower_c, 1) * coalesce(tail, 0),
                0
            ) as orders
        from summed
    ),

    -- A pair has one row of each name, so max only puts it into its column.
    pivoted as (
        select
            repeat_purchases,
            age_weeks,
            {%- for name in horizons %}
            max(orders) filter (where horizon = {{ name }} and set_number = 0) as orders_{{ name }},
            {%- endfor %}
            {%- for name in by %}
            max(orders) filter (where set_number = {{ loop.index }}) as orders_{{ name }}_up,
            max(orders) filter (where set_number = {{ -loop.index }}) as orders_{{ name }}_down{{ ',' if not loop.last }}
            {%- endfor %}
        from expected
        group by 1, 2
    )

    select
        pivoted.repeat_purchases,
        pivoted.age_weeks,
        pivoted.orders_30 as orders_30d,
        pivoted.orders_90 as orders_90d,
        pivoted.orders_365 as orders_365d,
        {%- for number in range(1, 13) %}
        {{ '+ ' if not loop.first }}
        {%- if loop.first %}pivoted.orders_1
        {%- else %}(pivoted.orders_{{ number }} - pivoted.orders_{{ number - 1 }})
        {%- endif %} / power(1 + parameters.monthly_discount, {{ number }})
        {%- endfor %} as discounted_orders,
        {%- for name in by %}
        (ln(nullif(pivoted.orders_{{ name }}_up, 0)) - ln(nullif(pivoted.orders_{{ name }}_down, 0)))
        / {{ 2 * step }} as by_{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from pivoted
    cross join {{ parameters }} as parameters
{%- endmacro %}
