"""Changes of the project's files that a dbt user makes between two builds.

Each edit is a list of text replacements in a copy of the project. All texts of the product that the
actions of the replay depend on are in this file; a test checks that each still fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODELS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("dim_users", "dim_products", "fct_orders", "fct_order_items", "fct_payments"),
            *("fct_user_events", "fct_user_sessions", "user_daily_metrics"),
        ),
        "models/marts/core/",
    ),
    **dict.fromkeys(("user_segments", "user_rfm", "user_analytics"), "models/marts/users/"),
    "daily_revenue": "models/marts/finance/",
    **dict.fromkeys(("int_user_activity", "int_user_months"), "models/intermediate/users/"),
    **dict.fromkeys(("int_user_states", "int_product_states"), "models/intermediate/states/"),
    **dict.fromkeys(
        ("stg_app__orders", "stg_app__payments", "stg_app__events", "stg_app__users"),
        "models/staging/app/",
    ),
    "rpt_user_analytics": "models/reporting/",
}


def sql_of(model: str) -> str:
    """The SQL file of a model, relative to the project."""
    return f"{MODELS[model]}{model}.sql"


def yml_of(model: str) -> str:
    """The YAML file of a model, relative to the project."""
    return f"{MODELS[model]}{model}.yml"


@dataclass(frozen=True)
class Change:
    """One replacement: `old`, which occurs once in the file, becomes `new`.

    An empty `old` appends to the file. If `copy_of` is set, the file is created as its copy first.
    """

    file: str
    old: str
    new: str
    copy_of: str = ""


@dataclass(frozen=True)
class Edit:
    """A change of the project that stays in force until it is taken back.

    Args:
        name: what it does, in a few words.
        kind: the kind of action that makes it.
        model: the model that it concerns.
        changes: the replacements.
        error: the error of a build of `model`, as a regular expression, if the edit needs
            `refresh`, or cannot be built at all.
        error_back: the same when the edit is taken back.
        refresh: what to build with --full-refresh afterwards; None if a plain build is enough. An
            empty selection is everything.
        is_refused: no build accepts the edit, so it is taken back at once.
        is_final: cannot be taken back.
        needs: the name of the edit that must be in force.
        renames: the new table of a model, by its name.
    """

    name: str
    kind: str
    model: str
    changes: tuple[Change, ...]
    error: str = ""
    error_back: str = ""
    refresh: tuple[str, ...] | None = None
    is_refused: bool = False
    is_final: bool = False
    needs: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)


def apply(project: Path, edits: tuple[Edit, ...]) -> dict[str, str]:
    """The text of each file that the edits change or create, by its path.

    Args:
        project: a folder without any edit.
        edits: the edits, in order.

    Raises:
        ValueError: an edit does not fit the project.
    """
    texts: dict[str, str] = {}

    def read(file: str) -> str:
        return texts[file] if file in texts else (project / file).read_text()

    for edit in edits:
        for change in edit.changes:
            text = read(change.copy_of or change.file)
            if change.old and text.count(change.old) != 1:
                raise ValueError(
                    f"The edit '{edit.name}' replaces a text of {change.file} that must occur"
                    f" once; it occurs {text.count(change.old)} times:\n{change.old}"
                )
            texts[change.file] = (
                text.replace(change.old, change.new) if change.old else text + change.new
            )
    return texts


# --- Changed SQL ------------------------------------------------------------------------------


def _rewritten(model: str) -> Edit:
    """The same rows from another text."""
    return Edit(
        f"{model} is rewritten",
        "rewrite",
        model,
        (Change(sql_of(model), "", "\n-- The same rows from another text.\n"),),
    )


def _filtered(model: str, condition: str) -> Edit:
    """Other rows: a condition on the last query."""
    return Edit(
        f"{model} keeps rows where {condition}",
        "redefine",
        model,
        (Change(sql_of(model), "select * from final", f"select * from final\nwhere {condition}"),),
    )


REWRITTEN = (
    *("fct_orders", "dim_users", "int_user_activity", "user_segments", "user_rfm"),
    *("stg_app__orders", "daily_revenue", "fct_user_events"),
)
FILTERS = {
    "fct_orders": "order_id not like '%o1'",
    "fct_order_items": "order_item_id not like '%i1'",
    "fct_user_events": "event_id not like '%e1'",
    "dim_users": "user_id is null or user_id not like '%u2'",
    "int_user_activity": "user_id not like '%u1'",
    "user_segments": "user_id not like '%u0'",
    "user_rfm": "user_id not like '%u3'",
    "rpt_user_analytics": "user_id not like '%u1'",
    "daily_revenue": "revenue_date != '2024-03-20'",
}
VALUES = (
    Edit(
        "payments count twice",
        "redefine",
        "fct_payments",
        (Change(sql_of("fct_payments"), "payments.amount::", "(2 * payments.amount)::"),),
    ),
    Edit(
        "users have one order more",
        "redefine",
        "int_user_activity",
        (
            Change(
                sql_of("int_user_activity"),
                "coalesce(orders.total_orders, 0)",
                "coalesce(orders.total_orders, 0) + 1",
            ),
        ),
    ),
)
STAGING = (
    Edit(
        "staged currencies in lower case",
        "staging",
        "stg_app__orders",
        (
            Change(
                sql_of("stg_app__orders"),
                "upper({{ clean_text('currency') }})",
                "lower({{ clean_text('currency') }})",
            ),
        ),
    ),
    Edit(
        "staged payment methods in upper case",
        "staging",
        "stg_app__payments",
        (
            Change(
                sql_of("stg_app__payments"),
                "lower({{ clean_text('payment_method') }})",
                "upper({{ clean_text('payment_method') }})",
            ),
        ),
    ),
    Edit(
        "some staged events are excluded",
        "staging",
        "stg_app__events",
        (
            Change(
                sql_of("stg_app__events"),
                "    'event_type_is_known': flag_when(\n",
                "    'event_is_no_test': exclude_when("
                "\"event_id like '%e2'\", 'is a test', 'validity'),\n"
                "    'event_type_is_known': flag_when(\n",
            ),
        ),
    ),
)
MACROS = (
    Edit(
        "seconds count twice",
        "macro",
        "fct_user_sessions",
        (
            Change(
                "macros/sql/dates.sql",
                "extract(epoch from ({{ last_timestamp }}",
                "2 * extract(epoch from ({{ last_timestamp }}",
            ),
        ),
    ),
    Edit(
        "scores up to four",
        "macro",
        "user_rfm",
        (Change("macros/sql/scores.sql", "5 * percent_rank()", "4 * percent_rank()"),),
    ),
    Edit(
        "a longer mask",
        "macro",
        "rpt_user_analytics",
        (Change("macros/sql/masks.sql", "|| '***@' ||", "|| '****@' ||"),),
    ),
)

# --- Snapshots --------------------------------------------------------------------------------

SNAPSHOTS = (
    Edit(
        "the query of the snapshot of users is rewritten",
        "snapshot",
        "int_user_states",
        (Change(sql_of("int_user_states"), "", "\n-- The same states from another text.\n"),),
    ),
    Edit(
        "countries in the snapshot in upper case",
        "snapshot",
        "int_user_states",
        (
            Change(
                sql_of("int_user_states"),
                "        country,\n",
                "        upper(country) || '!' as country,\n",
            ),
        ),
    ),
    Edit(
        "names in the snapshot of products in lower case",
        "snapshot",
        "int_product_states",
        (
            Change(
                sql_of("int_product_states"),
                "        product_name,\n",
                "        lower(product_name) as product_name,\n",
            ),
        ),
    ),
    Edit(
        "the snapshot of users stores one more column",
        "snapshot",
        "int_user_states",
        (
            Change(
                sql_of("int_user_states"),
                "        is_deleted,\n",
                "        is_deleted,\n        1 as extra_number,\n",
            ),
        ),
        is_final=True,
    ),
    Edit(
        "the snapshot of users loses a column",
        "snapshot",
        "snp_app__users",
        (Change(sql_of("int_user_states"), "        last_login_at,\n", ""),),
        error="its table stores last_login_at",
        is_refused=True,
    ),
    Edit(
        "one more column makes a version of a user",
        "snapshot",
        "snp_app__users",
        (
            Change(
                "snapshots/snp_app__users.yml",
                "        - is_deleted\n",
                "        - is_deleted\n        - signed_up_at\n",
            ),
        ),
    ),
)

# --- Names and versions -----------------------------------------------------------------------


def _renamed(model: str, text: str = "") -> Edit:
    """An alias in the YAML file, so that the SQL stays the same."""
    alias = f"renamed_{model}"
    name = f"  - name: {model}\n"
    new = f"{name}    config: {{alias: {alias}}}\n"
    if text:
        new = text.replace("config:\n", f"config:\n      alias: {alias}\n")
    changes = (Change(yml_of(model), text or name, new),)
    return Edit(f"{model} has the alias {alias}", "alias", model, changes, renames={model: alias})


META = "    config:\n      meta:\n"
ALIASES = (
    _renamed("fct_order_items", META),
    _renamed("dim_products", META),
    _renamed("user_rfm", META),
    _renamed("fct_user_events", "    config:\n      # Personal data.\n      grants: "),
    _renamed("int_user_activity"),
    _renamed("stg_app__payments", "    config:\n      event_time: "),
)
TWO_VERSIONS = Edit(
    "fct_payments has two versions",
    "version",
    "fct_payments",
    (
        Change(
            yml_of("fct_payments"),
            "  - name: fct_payments\n",
            "  - name: fct_payments\n    latest_version: 1\n    versions:\n      - v: 1\n"
            "        defined_in: fct_payments\n      - v: 2\n",
        ),
        Change(
            "models/marts/core/fct_payments_v2.sql",
            "select * from final",
            "select * from final\nwhere payment_id not like '%pay1'",
            copy_of=sql_of("fct_payments"),
        ),
    ),
    renames={"fct_payments": "fct_payments_v1"},
)
VERSIONS = (
    TWO_VERSIONS,
    Edit(
        "the latest version of fct_payments is the second",
        "version",
        "fct_payments",
        (Change(yml_of("fct_payments"), "    latest_version: 1\n", "    latest_version: 2\n"),),
        needs=TWO_VERSIONS.name,
        renames={"fct_payments": "fct_payments_v2"},
    ),
)

# --- Columns and partitions -------------------------------------------------------------------

OUT_OF_SYNC = "source and target schemas on this incremental model are out of sync"
COLUMNS = (
    Edit(
        "int_user_activity gains a column",
        "column",
        "int_user_activity",
        (
            Change(
                sql_of("int_user_activity"),
                "        users.signed_up_at,\n",
                "        users.signed_up_at,\n        1 as extra_number,\n",
            ),
        ),
        error=OUT_OF_SYNC,
        error_back=OUT_OF_SYNC,
        refresh=("int_user_activity",),
    ),
    Edit(
        "fct_user_sessions appends a nullable column",
        "column",
        "fct_user_sessions",
        (
            Change(
                sql_of("fct_user_sessions"),
                "    unique_key='session_id',\n",
                "    unique_key='session_id',\n    on_schema_change='append_new_columns',\n",
            ),
            Change(
                sql_of("fct_user_sessions"),
                "        sessions.ended_at\n",
                "        sessions.ended_at,\n"
                "        nullif(sessions.device, 'phone') as extra_text\n",
            ),
            Change(
                yml_of("fct_user_sessions"),
                "      - name: ended_at\n        data_type: timestamptz\n",
                "      - name: extra_text\n        data_type: text\n"
                "      - name: ended_at\n        data_type: timestamptz\n",
            ),
        ),
        error_back=OUT_OF_SYNC,
        refresh=None,
    ),
    Edit(
        "int_user_months keeps its columns in sync",
        "column",
        "int_user_months",
        (
            Change(
                sql_of("int_user_months"),
                "    unique_key=['user_id', 'activity_month'],\n",
                "    unique_key=['user_id', 'activity_month'],\n"
                "    on_schema_change='sync_all_columns',\n",
            ),
        ),
        is_final=True,
    ),
    Edit(
        "int_user_months gains a column",
        "column",
        "int_user_months",
        (
            Change(
                sql_of("int_user_months"),
                "        cohort_month,\n        coalesce(bool_or",
                "        cohort_month,\n        min(happened_on) as extra_date,\n"
                "        coalesce(bool_or",
            ),
        ),
        needs="int_user_months keeps its columns in sync",
    ),
)


def _partitioned(words: str, old: str, new: str) -> Edit:
    model = "fct_user_events"
    return Edit(f"{model} {words}", "partition", model, (Change(sql_of(model), old, new),))


PARTITION_BY = """    partition_by={
        'fields': ['event_timestamp'],
        'method': 'range',
        'granularity': 'month',
        'default_partition': true,
    },
"""
PARTITIONS = (
    *(
        _partitioned(
            f"has partitions of a {period}", PARTITION_BY, PARTITION_BY.replace("month", period)
        )
        for period in ("day", "week", "quarter", "year")
    ),
    _partitioned("has no partitions", PARTITION_BY, ""),
    Edit(
        "fct_orders has partitions of a quarter",
        "partition",
        "fct_orders",
        (
            Change(
                sql_of("fct_orders"),
                "    unique_key='order_id',\n",
                "    unique_key='order_id',\n    partition_by={'fields': ['ordered_at'],"
                " 'granularity': 'quarter', 'default_partition': true},\n",
            ),
            # A primary key of a partitioned table would hold the column of its partitions.
            Change(
                yml_of("fct_orders"),
                "    constraints:\n      - type: primary_key\n        columns: [order_id]\n",
                "",
            ),
        ),
    ),
)

# --- Samples ----------------------------------------------------------------------------------

SAMPLED = (
    Edit(
        "stg_app__users has an event_time",
        "sample",
        "stg_app__users",
        (
            Change(
                yml_of("stg_app__users"),
                "  - name: stg_app__users\n",
                "  - name: stg_app__users\n    config: {event_time: signed_up_at}\n",
            ),
        ),
    ),
    Edit(
        "the raw orders have an event_time",
        "sample",
        "stg_app__orders",
        (
            Change(
                "models/staging/app/_app__sources.yml",
                "        config: {meta: {primary_key: order_id",
                "        config: {event_time: _loaded_at, meta: {primary_key: order_id",
            ),
        ),
    ),
)

EDITS: Mapping[str, Edit] = {
    edit.name: edit
    for edit in (
        *map(_rewritten, REWRITTEN),
        *(_filtered(model, condition) for model, condition in FILTERS.items()),
        *VALUES,
        *STAGING,
        *MACROS,
        *SNAPSHOTS,
        *ALIASES,
        *VERSIONS,
        *COLUMNS,
        *PARTITIONS,
        *SAMPLED,
    )
}
