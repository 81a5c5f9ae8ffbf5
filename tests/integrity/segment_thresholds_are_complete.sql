-- If a threshold is missing, every user silently falls through to the next segment.
select count(*) as thresholds
from {{ ref('segment_thresholds') }}
where threshold_value is not null
having count(*) != 3 {{ 'and false' if flags.EMPTY }}
