{{ dbt_utils.date_spine("month", "cast('2024-01-31' as date)", "cast('2024-06-15' as date)") }}
