select
    pair_id,
    first_value,
    second_value,
    "Mixed Case"
from (
    values
    (1, 1, 1, 'x'), (2, 1, 1, 'x'), (3, 2, 1, 'x'), (4, 1, 2, 'y'),
    (5, null, 1, 'y'), (6, null, 1, 'y'), (7, 1, null, 'z'),
    (8, null, null, null), (9, null, null, null)
) as given (pair_id, first_value, second_value, "Mixed Case")
