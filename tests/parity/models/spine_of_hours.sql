{{ dbt_utils.date_spine("hour", "cast('2024-02-28 22:30:00' as timestamp)", "cast('2024-02-29 02:00:00' as timestamp)") }}
