-- Keys must be the same bytes with both packages: parity compares this table, and
-- tests/packages/test_packages.py computes them again in Python.
with

given as (
    select
        row_number() over () as row_id,
        given.*
    from (
        values
        ('a', 'b', 1, 1.50, date '2024-02-29', timestamp '2024-02-29 23:59:59.123456', true),
        ('a-b', '', -1, 0.0, date '0001-01-01', timestamp '1999-12-31 00:00:00', false),
        ('a', '-b', 0, 100, date '9999-12-31', timestamp 'infinity', null),
        (null, 'naïve 😀', null, null, null, null, null),
        ('', null, 2147483647, 'NaN', date '-infinity', timestamp 'epoch', true),
        ('_dbt_utils_surrogate_key_null_', 'it''s', 7, 1e20, date '2000-01-01', timestamp '2000-01-01', true)
    ) as given (one, two, whole, exact, day, moment, flag)
)

select
    given.*,
    moment at time zone 'UTC' as moment_utc,
    {{ dbt_utils.generate_surrogate_key(['one']) }} as key_of_one,
    {{ dbt_utils.generate_surrogate_key(['one', 'two']) }} as key_of_two,
    {{ dbt_utils.generate_surrogate_key(['two', 'one']) }} as key_of_two_swapped,
    {{ dbt_utils.generate_surrogate_key(['one', 'two', 'whole', 'exact', 'day', 'moment', 'flag']) }} as key_of_all,
    {{ dbt_utils.generate_surrogate_key(["moment at time zone 'UTC'", "whole - 1", "coalesce(one, 'none')"]) }} as key_of_expressions
from given
