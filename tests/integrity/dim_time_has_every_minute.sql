select count(*) as minutes
from {{ ref('dim_time') }}
having count(*) != 24 * 60 {{ 'and false' if flags.EMPTY }}
