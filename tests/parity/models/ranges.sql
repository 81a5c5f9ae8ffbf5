-- One partition for each way in which ranges can follow each other.
select
    case_name::text as case_name,
    starts::int as starts,
    ends::int as ends
from (
    values
    ('touching', 1, 2), ('touching', 2, 3), ('touching', 3, 9),
    ('gap', 1, 2), ('gap', 3, 4),
    ('overlap', 1, 3), ('overlap', 2, 4),
    ('nested', 1, 9), ('nested', 2, 3), ('nested', 4, 5),
    ('zero length', 1, 1), ('zero length', 1, 2), ('zero length', 2, 2),
    ('backwards', 3, 1),
    ('backwards first', 3, 1), ('backwards first', 4, 5),
    ('open end', 1, 2), ('open end', 2, null),
    ('open in the middle', 1, null), ('open in the middle', 2, 3),
    ('open start', null, 2), ('open start', 2, 3),
    ('nothing known', null, null), ('nothing known', 1, 2),
    ('same start', 1, 2), ('same start', 1, 3),
    ('twice', 1, 2), ('twice', 1, 2),
    ('alone', 1, 2),
    (null, 1, 2), (null, 2, 3)
) as given (case_name, starts, ends)
