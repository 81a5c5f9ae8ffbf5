{{ config(indexes=[
    {'columns': ['event_id'], 'unique': true},
    {'columns': ['_loaded_at']},
]) }}

{{ events_since_the_last_run() }}
