-- Anomalies of the last day that was complete at as_of.
{{ config(severity='warn') }}

{%- set condition = 'is_anomaly and day = ' ~ add_days(local_date(as_of()), -1) %}
{%- do tell_of_anomalies(ref('anomalies'), condition) %}

select *
from {{ ref('anomalies') }}
where {{ condition }}
