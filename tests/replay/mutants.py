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
LOOKUP = INTERNAL + "look_up_keys.sql"
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

    `seed` is a batch that is known to find it; it is tried first to save time. `kinds` are the
    kinds of actions that the batch needs.
    """

    name: str
    file: str
    old: str
    new: str
    seed: int = 111
    kinds: tuple[str, ...] = ()

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
        "lookup=this),\n]) %}",
        "lookup=this),\n], ignoring=[ref('fct_order_items')]) %}",
    ),
    Mutant(
        "orders do not follow payments",
        CORE + "fct_orders.sql",
        "lookup=this),\n]) %}",
        "lookup=this),\n], ignoring=[ref('fct_payments')]) %}",
    ),
    Mutant(
        "orders do not follow the seed of statuses",
        CORE + "fct_orders.sql",
        "lookup=this),\n]) %}",
        "lookup=this),\n], ignoring=[ref('order_statuses')]) %}",
    ),
    Mutant(
        "payments do not follow the seed of statuses",
        CORE + "fct_payments.sql",
        "changed_keys('payment_id')",
        "changed_keys('payment_id', ignoring=[ref('payment_statuses')])",
    ),
    Mutant(
        "lines do not follow their orders",
        CORE + "fct_order_items.sql",
        "    upstream(ref('stg_app__orders'), columns='order_id',"
        " lookup=ref('stg_app__order_items')),\n",
        "    upstream(ref('stg_app__orders'), columns='order_id', lookup=this,"
        " except_when='true'),\n",
    ),
    Mutant(
        "lines are not keyed anew by versions of products",
        CORE + "fct_order_items.sql",
        "upstream(\n        ref('dim_products'), columns='product_id', lookup=this,"
        " except_when=has_product_at('ordered_at')\n    )",
        "upstream(ref('dim_products'), columns='product_id', lookup=this, except_when='true')",
        seed=129,
    ),
    Mutant(
        "lines keep the category that their version had",
        "macros/incremental/has_product_at.sql",
        "            and products.category_key = looked_up.category_key\n",
        "",
    ),
    Mutant(
        "categories do not follow the status of orders",
        "models/intermediate/finance/int_category_days.sql",
        "upstream(ref('fct_orders'), columns='order_id', lookup=ref('fct_order_items'))",
        "upstream(ref('fct_orders'), columns='order_id', lookup=ref('fct_order_items'),"
        " except_when='true')",
        seed=105,
    ),
    Mutant(
        "the funnel reads the first day of a month only",
        "macros/incremental/rows_of_changed_months.sql",
        "start_of_day(add_months('keys.' ~ month, 1))",
        "start_of_day(add_days('keys.' ~ month, 1))",
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
        "    user_versions(),\n] + sessions) %}",
        "] + sessions, ignoring=[ref('dim_users')]) %}",
    ),
    Mutant(
        "facts of unknown users stay with the unknown member",
        VERSIONS,
        "looked_up.user_key = coalesce((",
        "looked_up.user_key = {{ unknown_key() }} or looked_up.user_key = coalesce((",
    ),
    Mutant(
        "sessions are read by versions of users only",
        CORE + "fct_user_sessions.sql",
        "changed_keys('session_id', [user_versions()])",
        "changed_keys('session_id', [user_versions()], ignoring=[ref('stg_app__user_sessions')])",
    ),
    Mutant(
        "a decision does not end the one before it",
        CORE + "fct_user_consents.sql",
        "with_siblings(\n    changed_consents, ref('stg_app__consents'), 'user_id'\n)",
        "changed_consents",
    ),
    Mutant(
        "decisions do not become current with time",
        CORE + "fct_user_consents.sql",
        "recompute_when='becomes_current_at <= ' ~ as_of()",
        "recompute_when='false'",
    ),
    Mutant(
        "products do not follow their categories",
        CORE + "dim_products.sql",
        "upstream(ref('dim_categories'), columns='category_id', lookup=this)",
        "upstream(ref('dim_categories'), columns='category_id', lookup=this, except_when='true')",
    ),
    Mutant(
        "activity does not follow users",
        ACTIVITY,
        "changed_keys(\n    'user_id', ",
        "changed_keys(\n    'user_id', ignoring=[ref('stg_app__users')], ",
    ),
    Mutant(
        "activity does not follow sessions",
        ACTIVITY,
        "changed_keys(\n    'user_id', ",
        "changed_keys(\n    'user_id', ignoring=[ref('fct_user_sessions')], ",
    ),
    Mutant(
        "daily metrics do not follow events",
        CORE + "user_daily_metrics.sql",
        "changed_keys(['user_id', 'date_key'])",
        "changed_keys(['user_id', 'date_key'], ignoring=[ref('fct_user_events')])",
    ),
    Mutant(
        "segments do not follow their thresholds",
        USERS + "user_segments.sql",
        "changed_keys(\n    'user_id', ",
        "changed_keys(\n    'user_id', ignoring=[ref('segment_thresholds')], ",
    ),
    Mutant(
        "purchase histories do not follow users and clocks",
        "models/intermediate/users/int_user_purchase_history.sql",
        "recompute_when='next_ordered_at <= ' ~ as_of()",
        "ignoring=[ref('stg_app__users')]",
    ),
    Mutant(
        "lifetime value does not follow its parameters",
        USERS + "user_clv.sql",
        "changed_keys(\n    'user_id', ",
        "changed_keys(\n    'user_id', ignoring=[ref('int_clv_parameters')], ",
    ),
    Mutant(
        "predictions stay as of their first day",
        USERS + "user_clv.sql",
        "recompute_when='predicted_on < ' ~ local_date(as_of())",
        "recompute_when='predicted_on < ' ~ local_date(beginning_of_time())",
    ),
    Mutant(
        "analytics do not follow users",
        USERS + "user_analytics.sql",
        "changed_keys('user_id')",
        "changed_keys('user_id', ignoring=[ref('dim_users')])",
    ),
    Mutant(
        "analytics do not follow segments",
        USERS + "user_analytics.sql",
        "changed_keys('user_id')",
        "changed_keys('user_id', ignoring=[ref('user_segments')])",
    ),
    Mutant(
        "segments do not follow scores",
        USERS + "user_segments.sql",
        "changed_keys(\n    'user_id', ",
        "changed_keys(\n    'user_id', ignoring=[ref('user_rfm')], ",
    ),
    Mutant(
        "the day before a changed one is not looked at",
        "models/intermediate/users/int_user_active_days.sql",
        "changed_keys('user_id')",
        "changed_keys(\n    ['user_id', 'metric_date'], [upstream(ref('user_daily_metrics'),"
        " columns=['user_id', 'date_key'], key=['user_id', date_of_key('date_key')])]\n)",
    ),
    Mutant(
        "active days do not follow their users",
        "models/intermediate/users/int_active_days.sql",
        "changed_keys()",
        "changed_keys(ignoring=[ref('int_user_active_days')])",
    ),
    Mutant(
        "active users are counted once",
        USERS + "active_users.sql",
        "skip_unless_changed()",
        "skip_unless_changed(ignoring=[ref('int_active_days')])",
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
        "{{ load_time }} >= '",
        "{{ load_time }} > '",
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
        "row_xid() if upstream.is_snapshot else '_row_xid' if upstream.is_view",
        "'_row_xid' if upstream.is_view or upstream.is_snapshot",
        seed=5193,
    ),
    # --- Logged keys
    Mutant(
        "keys that lost a row are not logged",
        STRATEGY,
        "{{ log_keys('deleted') }};\n    {%- if not key_columns %}",
        "select count(*) from deleted;\n    {%- if not key_columns %}",
    ),
    Mutant(
        "keys that gained a row are not logged",
        STRATEGY,
        "{{ log_keys('inserted') }}",
        "select count(*) from inserted",
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
        "upstream.kind == 'logged' and watermark['was_rebuilt']",
        "false",
        seed=120,
    ),
    Mutant(
        "keys are not looked up in another relation",
        LOOKUP,
        "{%- if upstream.lookup -%}",
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
    # --- Backfills
    Mutant(
        "a backfill takes none of its days",
        KEYS,
        "{{ keys_of_backfill(columns, upstreams, event_time) }}",
        "",
        seed=5193,
    ),
    Mutant(
        "a backfill forgets rows that its upstreams have lost",
        BACKFILL,
        "from {{ this }} where {{ is_in_backfill(event_time,",
        "from {{ this }} where false and {{ is_in_backfill(event_time,",
        seed=5193,
    ),
    Mutant(
        "a backfill stops where nothing changed",
        STRATEGY,
        "{{ log_keys('filled') }}",
        "select count(*) from filled",
        seed=5193,
    ),
    # --- Clocks, seeds, variables
    Mutant(
        "clocks are ignored",
        KEYS,
        "{%- if recompute_when %}\n            union",
        "{%- if false %}\n union",
    ),
    Mutant(
        "a segment changes a moment too late",
        USERS + "user_segments.sql",
        "recompute_when='segment_changes_at <= '",
        "recompute_when='segment_changes_at < '",
        seed=5193,
    ),
    Mutant(
        "an activity comes a moment too late",
        ACTIVITY,
        "recompute_when='next_activity_at <= '",
        "recompute_when='next_activity_at < '",
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
        "recompute_when='next_change_at <= '",
        "recompute_when='false and next_change_at <= '",
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
        "{%- elif recompute_when and watermark['is_ahead'] -%}",
        "{%- elif false -%}",
        seed=5193,
    ),
    Mutant(
        "seeds never change",
        REASON,
        "upstream.kind == 'lookup' and watermark['has_other_fingerprint']",
        "false",
        seed=5193,
    ),
    Mutant(
        "variables never change",
        REASON,
        "last_run['has_other_fingerprint']",
        "false",
        seed=893,
    ),
    # --- Writes
    Mutant(
        "rows that are gone stay",
        STRATEGY,
        "({{ prefixed('old_row', unique_key) }}) in (select {{ key }} from {{ old_rows }})",
        "({{ prefixed('old_row', unique_key) }}) in (select {{ key }} from {{ temp_relation }})",
    ),
    Mutant(
        "rows that changed stay as they were",
        STRATEGY,
        "where ({{ prefixed('new_row', columns) }}) is distinct from"
        " ({{ prefixed('old_row', columns) }})",
        "where new_row.{{ unique_key[0] }} is null or old_row.{{ unique_key[0] }} is null",
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
    # --- What users do
    Mutant(
        "a table that was emptied or replaced is continued",
        REASON,
        "{%- if not last_run['is_of_this_table'] -%}",
        "{%- if false -%}",
        seed=7,
        kinds=("truncate", "swap"),
    ),
    Mutant(
        "a table that had another name meanwhile is continued",
        REASON,
        "{%- if not last_run['is_of_this_table'] -%}",
        "{%- if false -%}",
        seed=119,
        kinds=("alias",),
    ),
    Mutant(
        "readers do not hear of a table that was replaced",
        MARKS,
        "and not watermarks.storage <@ this_run.storage",
        "and false",
        seed=7,
        kinds=("truncate", "swap"),
    ),
    Mutant(
        "changed SQL is not noticed",
        INTERNAL + "fingerprints.sql",
        "else model.raw_code]",
        "else '']",
        seed=9,
        kinds=("redefine",),
    ),
    Mutant(
        "versions of a model share their state",
        "macros/project/internal/state_name.sql",
        "node.unique_id.split('.')[2:] | join('.')",
        "node.unique_id.split('.')[2]",
        seed=7,
        kinds=("version",),
    ),
    Mutant(
        "a deferred run keeps the watermarks of the run before",
        MARKS,
        "and upstream_name not in (select upstream_name from pg_temp.this_run);",
        "and false;",
        seed=7,
        kinds=("defer",),
    ),
    Mutant(
        "a deferred run takes what it read elsewhere for read",
        MARKS,
        "{%- for upstream in upstreams if not upstream.is_elsewhere %}",
        "{%- for upstream in upstreams %}",
        seed=7,
        kinds=("defer",),
    ),
    Mutant(
        "a sample deletes what it does not show",
        INTERNAL + "refuse_sample.sql",
        "is_sample() and is_incremental()",
        "false",
        seed=10,
        kinds=("sample",),
    ),
    Mutant(
        "a build with --empty has read its upstreams",
        KEYS,
        "{%- elif flags.EMPTY -%}",
        "{%- elif false -%}",
        seed=7,
        kinds=("empty",),
    ),
    Mutant(
        "views that hide rows are read",
        INTERNAL + "check_views_are_whole.sql",
        "{%- if filtered -%}",
        "{%- if false -%}",
        seed=7,
        kinds=("empty",),
    ),
    Mutant(
        "new partitions are empty",
        "macros/postgres/partitions/repartition.sql",
        "select {{ columns }} from {{ relation }}",
        "select {{ columns }} from {{ relation }} where false",
        seed=7,
        kinds=("partition",),
    ),
    Mutant(
        "a snapshot loses a column",
        "macros/hooks/before_build.sql",
        "{%- do check_snapshot_columns() -%}",
        "",
        seed=13,
        kinds=("snapshot",),
    ),
    Mutant(
        "new columns are left out",
        "dbt_project.yml",
        "      +schema: intermediate\n      +materialized: incremental\n"
        "      +incremental_strategy: changed_keys\n      +on_schema_change: fail\n",
        "      +schema: intermediate\n      +materialized: incremental\n"
        "      +incremental_strategy: changed_keys\n      +on_schema_change: ignore\n",
        seed=9,
        kinds=("column",),
    ),
    Mutant(
        "watermarks are committed before the rows",
        STRATEGY,
        "    {%- set key_columns = key_columns_of_this_run() -%}\n",
        "    {%- set key_columns = key_columns_of_this_run() -%}\n"
        "    {%- do run_query(advance_watermarks() ~ '; commit; begin') -%}\n",
        seed=7,
        kinds=("kill",),
    ),
    Mutant(
        "targets share their state",
        "macros/project/state_relation.sql",
        "schema=generate_schema_name('observability', none)",
        "schema='observability'",
        seed=7,
        kinds=("target",),
    ),
)
