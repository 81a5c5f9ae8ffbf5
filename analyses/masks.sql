-- Each mask, applied to one column: what readers see instead of personal data. The lineage of personal data recognizes masks by it.
with

examples as (
    select
        'user@domain.com' as email,
        '+49 30 1234542' as phone,
        'Anna Maria' as name,
        '1990-05-17'::date as birth_date,
        'Please call me back tonight.' as free_text
)

select
    {{ mask_email('email') }} as email,
    {{ mask_phone('phone') }} as phone,
    {{ mask_name('name') }} as name,
    {{ mask_birth_date('birth_date') }} as birth_date,
    {{ mask_free_text('free_text') }} as free_text
from examples
