{{ dbt_utils.date_spine("year", "cast('2023-12-31' as date)", "cast('2026-01-01' as date)") }}
