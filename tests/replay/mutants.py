"""Mutants, each of which breaks one mechanism of the incremental models.

Each mutant is one text replacement in a copy of the project. The replay must find every mutant; a
surviving one shows a guarantee that the replay does not check.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INTERNAL = "macros/incremental/internal/"
KEYS = "macros/incremental/changed_keys.sql"
UPSTREAM = INTERNAL + "changed_keys_of_upstream.sql"
THROUGH = INTERNAL + "led_through.sql"
BACKFILL = INTERNAL + "keys_of_backfill.sql"
REASON = INTERNAL + "reason_for_all_keys.sql"
LOADS = INTERNAL + "is_unseen_load.sql"
STRATEGY = INTERNAL + "get_incremental_changed_keys_sql.sql"
VERSIONS = "macros/incremental/has_user_key_at.sql"
PRUNE = INTERNAL + "prune_changed_keys.sql"
MARKS = INTERNAL + "watermarks.sql"
CORE = "models/marts/core/"
USERS = "models/marts/users/"
RECENT_ORDERS = "models/intermediate/users/int_user_recent_orders.sql"
ACTIVITY = "models/intermediate/users/int_user_activity.sql"


@dataclass(frozen=True)
class Mutant:
    """A mechanism to break: `old`, which occurs once in the file, is replaced by `new`.

    `seed` is a batch that is known to find it; it is tried first to save time.
    """

    name: str
    file: str
    old: str
    new: str
    seed: int = 111

    def apply(self, project: Path) -> None:
        """Apply the mutant to a copy of the project.

        Args:
            project: the folder of the copy.

        Raises:
            ValueError: the old text does not occur exactly once, so the mutant is out of date.
        """
        path = project / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(
                f"The mutant '{self.name}' replaces a text of {self.file} that must stand there"
                f" once; it stands there {text.count(self.old)} times:\n{self.old}"
            )
        path.write_text(text.replace(self.old, self.new))


MUTANTS = (
    # --- Ignored upstreams
    Mutant(
        "orders do not follow their lines",
        CORE + "fct_orders.sql",
        "    ref('fct_order_items'),\n",
        "",
    ),
    Mutant(
        "orders do not follow payments", CORE + "fct_orders.sql", "    ref('fct_payments'),\n", ""
    ),
    Mutant(
        "orders do not follow the seed of statuses",
        CORE + "fct_orders.sql",
        "    ref('order_statuses'),\n",
        "",
    ),
    Mutant(
        "payments do not follow the seed of statuses",
        CORE + "fct_payments.sql",
        "    ref('payment_statuses'),\n",
        "",
    ),
    Mutant(
        "lines do not follow their orders",
        CORE + "fct_order_items.sql",
        "    upstream(\n        ref('stg_app__orders'),\n        columns='order_id',\n"
        "        through=ref('stg_app__order_items'),\n        dated_by='ordered_at',\n    ),\n",
        "",
    ),
    Mutant(
        "lines are not keyed anew by versions of products",
        CORE + "fct_order_items.sql",
        "    upstream(\n        ref('dim_products'), columns='product_id', through=this,"
        " unless=has_product_at('ordered_at')\n    ),\n",
        "",
        seed=129,
    ),
    Mutant(
        "lines keep the category that their version had",
        "macros/incremental/has_product_at.sql",
        "            and products.category_key = led.category_key\n",
        "",
    ),
    Mutant(
        "categories do not follow the status of orders",
        "models/intermediate/finance/int_category_days.sql",
        "    upstream(ref('fct_orders'), columns='order_id', through=ref('fct_order_items')),\n",
        "",
    ),
    Mutant(
        "the funnel reads the first day of a month only",
        "macros/incremental/rows_of_changed_months.sql",
        "add_months('keys.' ~ month, 1)",
        "add_days('keys.' ~ month, 1)",
    ),
    Mutant(
        "a day is read without its afternoon",
        "macros/incremental/rows_of_changed_days.sql",
        "add_days(date_of_key('keys.date_key'), 1))",
        "add_days(date_of_key('keys.date_key'), 1)) ~ \" - interval '12 hours'\"",
    ),
    Mutant(
        "events are not keyed anew by versions of users",
        CORE + "fct_user_events.sql",
        "    upstream(\n        ref('dim_users'), columns='user_id', through=this,"
        " unless=has_user_key_at('event_timestamp')\n    ),\n",
        "",
    ),
    Mutant(
        "facts of unknown users stay with the unknown member",
        VERSIONS,
        "led.user_key = coalesce((",
        "led.user_key = {{ unknown_key() }} or led.user_key = coalesce((",
    ),
    Mutant(
        "sessions are read by versions of users only",
        CORE + "fct_user_sessions.sql",
        "    upstream(ref('stg_app__user_sessions'), dated_by='started_at'),\n",
        "",
    ),
    Mutant(
        "products do not follow their categories",
        CORE + "dim_products.sql",
        "    upstream(ref('dim_categories'), columns='category_id', through=this),\n",
        "",
    ),
    Mutant("activity does not follow users", ACTIVITY, "        ref('stg_app__users'),\n", ""),
    Mutant(
        "activity does not follow sessions", ACTIVITY, "        ref('fct_user_sessions'),\n", ""
    ),
    Mutant(
        "daily metrics do not follow events",
        CORE + "user_daily_metrics.sql",
        "    ref('fct_user_events'),\n",
        "",
    ),
    Mutant(
        "segments do not follow their thresholds",
        USERS + "user_segments.sql",
        "ref('user_rfm'), ref('segment_thresholds')",
        "ref('user_rfm')",
    ),
    Mutant(
        "purchase histories do not follow users and clocks",
        "models/intermediate/users/int_user_purchase_history.sql",
        ", [ref('int_user_activity'), ref('fct_orders')])",
        ", [ref('fct_orders')])",
    ),
    Mutant(
        "lifetime value does not follow its parameters",
        USERS + "user_clv.sql",
        "        ref('int_clv_parameters'),\n",
        "",
    ),
    Mutant(
        "predictions stay as of their first day",
        USERS + "user_clv.sql",
        "due='predicted_on < ' ~ utc_date(as_of())",
        "due='predicted_on < ' ~ utc_date(beginning_of_time())",
    ),
    Mutant(
        "analytics do not follow users", USERS + "user_analytics.sql", "    ref('dim_users'),\n", ""
    ),
    Mutant(
        "analytics do not follow segments",
        USERS + "user_analytics.sql",
        "    ref('user_segments'),\n",
        "",
    ),
    Mutant(
        "segments do not follow scores",
        USERS + "user_segments.sql",
        "ref('user_rfm'), ",
        "",
    ),
    Mutant(
        "a day counts in its own row only",
        USERS + "active_users.sql",
        "cross join ({{ whole_numbers(30) }}) as numbers",
        "cross join ({{ whole_numbers(1) }}) as numbers",
    ),
    # --- Loaded rows
    Mutant(
        "no overlap: rows committed late are missed",
        LOADS,
        """::timestamptz - interval '{{ var("load_overlap") }}'""",
        "::timestamptz",
    ),
    Mutant(
        "the overlap ends before its last moment",
        LOADS,
        "_loaded_at >= '",
        "_loaded_at > '",
    ),
    Mutant(
        "within the overlap nothing is unseen",
        LOADS,
        "or {{ full_xid(row_xid, watermark['run_snapshot']) }}\n",
        "or false and {{ full_xid(row_xid, watermark['run_snapshot']) }}\n",
    ),
    Mutant(
        "rows of savepoints are taken for seen",
        LOADS,
        "or {{ full_xid(row_xid, watermark['run_snapshot']) }}\n            >= pg_snapshot_xmin("
        """'{{ watermark["run_snapshot"] }}')""",
        "or not pg_visible_in_snapshot({{ full_xid(row_xid, watermark['run_snapshot']) }},"
        """ '{{ watermark["run_snapshot"] }}')""",
    ),
    Mutant(
        "a snapshot's row is known by the transaction of its source",
        UPSTREAM,
        "row_xid() if upstream.is_snapshot else '_row_xid'",
        "'_row_xid'",
        seed=5193,
    ),
    # --- Logged keys
    Mutant(
        "keys that lost a row are not logged",
        STRATEGY,
        "{{ write_down_keys('deleted', tracked) }}",
        "select count(*) from deleted",
    ),
    Mutant(
        "keys that gained a row are not logged",
        STRATEGY,
        "{{ write_down_keys('inserted', tracked) }}",
        "select count(*) from inserted",
    ),
    Mutant(
        "the funnel does not hear of its months",
        "models/intermediate/users/int_user_funnel_steps.sql",
        "meta={'tracked_keys': ['funnel_month']},",
        "meta={'tracked_keys': []},",
    ),
    Mutant(
        "a tracked key is missing",
        CORE + "fct_orders.sql",
        "'tracked_keys': ['order_id', 'user_id', 'date_key']",
        "'tracked_keys': ['order_id', 'user_id']",
    ),
    Mutant(
        "the log is pruned before all have read it",
        PRUNE,
        "and not pg_visible_in_snapshot(key_changes.written_by",
        "and false and not pg_visible_in_snapshot(key_changes.written_by",
    ),
    Mutant(
        "nobody hears of an upstream that was rebuilt",
        REASON,
        "upstream.kind == 'tracked' and was_rebuilt(upstream, watermark)",
        "false",
        seed=120,
    ),
    Mutant(
        "keys are not looked up through another relation",
        THROUGH,
        "{%- if upstream.through -%}",
        "{%- if false -%}",
    ),
    # --- Watermarks
    Mutant(
        "the watermark is taken after reading",
        MARKS,
        "            run_snapshot,\n            loaded_through,\n            fingerprint,\n"
        "            case when",
        "            pg_current_snapshot(),\n            loaded_through,\n"
        "            fingerprint,\n            case when",
        seed=129,
    ),
    Mutant(
        "the watermark keeps its first as_of",
        MARKS,
        "            as_of = excluded.as_of,\n",
        "",
        seed=5193,
    ),
    Mutant(
        "a table made on empty inputs counts as having read them",
        MARKS,
        "{%- if is_new_table and (flags.EMPTY or is_sample()) %}",
        "{%- if false %}",
        seed=129,
    ),
    # --- Backfills
    Mutant(
        "a backfill takes none of its days",
        KEYS,
        "{{ keys_of_backfill(columns, upstreams, dated_by) }}",
        "",
        seed=5193,
    ),
    Mutant(
        "a backfill forgets rows that its upstreams have lost",
        BACKFILL,
        "from {{ this }} where {{ is_in_backfill(dated_by) }}",
        "from {{ this }} where false",
        seed=5193,
    ),
    Mutant(
        "a backfill stops where nothing changed",
        STRATEGY,
        "{{ write_down_keys('filled', tracked) }}",
        "select count(*) from filled",
        seed=5193,
    ),
    # --- Clocks, seeds, variables
    Mutant(
        "clocks are ignored", KEYS, "{%- if due %}\n            union", "{%- if false %}\n union"
    ),
    Mutant(
        "a segment changes a moment too late",
        USERS + "user_segments.sql",
        "due='segment_changes_at <= '",
        "due='segment_changes_at < '",
        seed=5193,
    ),
    Mutant(
        "an activity comes a moment too late",
        ACTIVITY,
        "due='next_activity_at <= '",
        "due='next_activity_at < '",
        seed=5193,
    ),
    Mutant(
        "an order leaves the window of RFM unseen",
        RECENT_ORDERS,
        "least(orders_in_window.next_leaves_at, orders_to_come.next_ordered_at)",
        "orders_to_come.next_ordered_at",
    ),
    Mutant(
        "a day to come counts in its month unseen",
        "models/intermediate/users/int_user_months.sql",
        "due='next_change_at <= '",
        "due='false and next_change_at <= '",
    ),
    Mutant(
        "the history of segments is written behind later builds",
        "macros/incremental/is_latest_as_of.sql",
        "and {{ as_of() }} >= (select",
        "and {{ end_of_time() }} >= (select",
        seed=893,
    ),
    Mutant(
        "as_of never goes back",
        REASON,
        "{%- elif due and watermark['is_ahead'] -%}",
        "{%- elif false -%}",
        seed=5193,
    ),
    Mutant(
        "seeds never change",
        REASON,
        "fingerprint_of(upstream.relation) != watermark['fingerprint']",
        "false",
        seed=5193,
    ),
    Mutant(
        "variables never change",
        REASON,
        "definition['fingerprint'] != definition_fingerprint()",
        "false",
        seed=893,
    ),
    # --- Writes
    Mutant(
        "rows that are gone stay",
        STRATEGY,
        "({{ prefixed('old_row', unique_key) }}) in (select {{ unique_key | join(', ') }}"
        " from {{ old_rows }})",
        "({{ prefixed('old_row', unique_key) }}) in (select {{ unique_key | join(', ') }}"
        " from {{ temp_relation }})",
    ),
    Mutant(
        "rows that changed stay as they were",
        STRATEGY,
        "where ({{ prefixed('new_row', columns) }}) is not distinct from"
        " ({{ prefixed('old_row', columns) }})",
        "where true",
    ),
    Mutant(
        "rows with a null count as changed",
        STRATEGY,
        "({{ prefixed('new_row', columns) }}) is not distinct from",
        "({{ prefixed('new_row', columns) }}) =",
    ),
    Mutant(
        "rows of other keys are deleted",
        STRATEGY,
        "where ({{ keys }}) in (select {{ keys }} from changed_keys)\n        {%- endif %}\n"
        "        {%- if",
        "where true\n        {%- endif %}\n        {%- if",
    ),
    Mutant(
        "rows under a null key come again",
        STRATEGY,
        "{%- if key_columns != unique_key %}",
        "{%- if false %}",
    ),
    Mutant(
        "the write looks into the partitions of the new rows only",
        STRATEGY,
        "prune_to_rows('old_row', target_relation, old_rows)",
        "prune_to_rows('old_row', target_relation, temp_relation)",
    ),
)
