select
    moment_id,
    happened_at
from (
    values
    (1, timestamptz '2020-01-01 12:00:00+02'),
    (2, '2999-01-01 00:00:00+00'),
    (3, null),
    (4, '2019-12-31 00:00:00+00')
) as given (moment_id, happened_at)
