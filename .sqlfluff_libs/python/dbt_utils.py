"""For the linter: a stand-in for dbt_utils that returns SQL of the same form."""


def generate_surrogate_key(field_list):
    return "md5(" + " || '-' || ".join(f"{field}::text" for field in field_list) + ")"


def date_spine(datepart, start_date, end_date):
    return f"select {start_date} as date_{datepart}"
