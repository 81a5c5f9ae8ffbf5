-- Boundaries, nulls, not-a-number, empty and blank text, line breaks, quotes, other alphabets.
select
    id,
    amount::numeric as amount,
    label::text as label,
    team::text as team
from (
    values
    (1, '0', 'abc', 'red'),
    (2, '10', 'ABC', 'red'),
    (3, '10.01', '', 'blue'),
    (4, '-0.01', '  ', 'blue'),
    (5, null, null, null),
    (6, '5', 'it''s', 'blue'),
    (7, 'NaN', 'x.y@z.example', 'red'),
    (8, '5', E'two\nlines', null),
    (9, '5', 'naïve', 'green'),
    (10, '5', 'abc', 'red'),
    (11, 'Infinity', E'back\\slash', 'red')
) as given (id, amount, label, team)
