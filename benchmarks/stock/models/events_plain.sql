{{ events_since_the_last_run() }}
