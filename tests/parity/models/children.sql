select
    child_id,
    parent_id,
    kind
from (
    values (1, 1, 'a'), (2, 2, 'a'), (3, 3, 'b'), (4, 4, 'b'), (5, 4, 'c'), (6, null, 'c'), (7, 9, null)
) as given (child_id, parent_id, kind)
