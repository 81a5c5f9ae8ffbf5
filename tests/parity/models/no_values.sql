select * from {{ ref('values_to_check') }}
where false
