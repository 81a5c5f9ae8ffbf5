select * from {{ ref('ranges') }}
where false
