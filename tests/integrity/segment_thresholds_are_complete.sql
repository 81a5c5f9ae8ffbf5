-- Without one of the numbers every user would quietly fall through to the next segment.
select count(*) as thresholds
from {{ ref('segment_thresholds') }}
where threshold_value is not null
having count(*) != 3 {{ 'and false' if flags.EMPTY }}
