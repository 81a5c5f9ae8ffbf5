select count(*) as row_count
from {{ ref('int_clv_parameters') }}
having count(*) != 1 {{ 'and false' if flags.EMPTY }}
