-- Ranges in one row after the other, without a partition.
select
    starts,
    ends
from (values (date '2024-01-01', date '2024-01-31'), ('2024-01-31', '2024-02-29'), ('2024-03-01', null)) as given (starts, ends)
