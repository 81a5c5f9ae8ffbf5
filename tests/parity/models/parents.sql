select
    parent_id,
    is_open
from (values (1, true), (2, false), (2, true), (3, null), (null, true)) as given (parent_id, is_open)
