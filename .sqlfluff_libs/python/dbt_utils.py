"""What the linter sees in the place of dbt_utils: SQL of the same shape."""


def generate_surrogate_key(field_list):
    return "md5(" + " || '-' || ".join(f"{field}::text" for field in field_list) + ")"


def date_spine(datepart, start_date, end_date):
    return f"select {start_date} as date_{datepart}"
