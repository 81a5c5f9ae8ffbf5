"""The names that applications give to the contract's tables and columns."""

from __future__ import annotations

import re
from dataclasses import dataclass


def snake(name: str) -> str:
    """A name in snake case: orderItem, OrderItem and "order item" become order_item."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def singular(name: str) -> str:
    """A name in snake case with its last word in the singular."""
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith(("uses", "xes", "ches", "shes", "sses")) and not name.endswith("houses"):
        return name[:-2]
    if name.endswith("s") and not name.endswith(("ss", "us", "is")):
        return name[:-1]
    return name


def bare(name: str) -> str:
    """A name without underscores, so that customer_id and customerid are the same."""
    return name.replace("_", "")


def name_forms(name: str, prefixes: tuple[str, ...]) -> set[str]:
    """What a table may be called: its name in the singular, with and without its prefixes."""
    forms, waiting = set(), [singular(snake(name))]
    while waiting:
        form = waiting.pop()
        forms.add(bare(form))
        waiting += [form[len(prefix) :] for prefix in prefixes if form.startswith(prefix)]
    return forms - {""}


PREFIXES = ("tbl_", "t_", "app_", "dbo_", "wc_", "shop_", "store_", "ecommerce_", "core_")


@dataclass(frozen=True)
class TableWords:
    """The names of a contract table in the singular.

    Attributes:
        strong: names that mean this table.
        weak: names that may; such a table is only offered.
        nouns: what its column names may begin with, as in customer_email.
    """

    strong: tuple[str, ...]
    weak: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()


TABLES = {
    "orders": TableWords(
        ("order", "sales_order", "sale_order", "customer_order", "purchase", "order_order"),
        ("sale", "transaction", "invoice", "booking", "checkout", "rental", "order_header"),
        ("order", "purchase"),
    ),
    "order_items": TableWords(
        (
            *("order_item", "order_line", "order_line_item", "line_item", "order_detail"),
            *("order_product", "order_order_line", "purchase_item", "purchase_line"),
            *("order_product_lookup", "sales_order_item", "sale_order_line", "sales_order_line"),
        ),
        ("item", "line", "sale_item", "invoice_line", "invoice_item", "transaction_item"),
        ("order_item", "order_line", "line_item", "item", "line", "detail"),
    ),
    "users": TableWords(
        (
            *("user", "customer", "client", "member", "account_user", "auth_user", "app_user"),
            *("customer_customer", "shopper", "buyer", "site_user"),
        ),
        ("account", "person", "people", "profile", "contact", "customer_lookup", "subscriber"),
        ("user", "customer", "client", "member", "account"),
    ),
    "products": TableWords(
        ("product", "product_product", "catalog_product", "catalogue_product", "product_template"),
        ("item", "article", "good", "sku", "variant", "product_variant", "film", "book"),
        ("product", "item"),
    ),
    "categories": TableWords(
        ("category", "product_category", "taxon", "catalogue_category", "catalog_category"),
        ("collection", "department", "taxonomy", "product_type", "term"),
        ("category", "taxon"),
    ),
    "payments": TableWords(
        ("payment", "order_payment", "payment_payment"),
        ("transaction", "payment_transaction", "charge", "order_transaction"),
        ("payment", "transaction"),
    ),
    "user_sessions": TableWords(
        ("user_session", "session", "visit", "ahoy_visit", "web_session", "visitor_session"),
        (),
        ("session", "visit"),
    ),
    "events": TableWords(
        ("event", "user_event", "ahoy_event", "tracking_event", "analytics_event"),
        ("page_view", "activity", "activity_log", "click"),
        ("event",),
    ),
    "consents": TableWords(
        ("consent", "user_consent", "customer_consent", "marketing_consent"),
        ("opt_in", "subscription_preference", "newsletter_subscription"),
        ("consent",),
    ),
    "erasure_requests": TableWords(
        ("erasure_request", "deletion_request", "data_deletion_request", "account_deletion"),
        ("gdpr_request", "privacy_request", "data_request"),
        ("request",),
    ),
    "exchange_rates": TableWords(
        (),  # a rate may be the inverse of ours
        ("exchange_rate", "fx_rate", "currency_rate", "conversion_rate", "rate"),
        ("exchange_rate", "fx_rate", "rate"),
    ),
}

USER_KEYS = (
    *("user_id", "customer_id", "client_id", "member_id", "account_id", "buyer_id"),
    *("shopper_id", "user", "customer", "customer_user_id"),
)
ORDER_KEYS = ("order_id", "purchase_id", "sales_order_id", "sale_order_id", "order")
PRODUCT_KEYS = ("product_id", "product")
CATEGORY_KEYS = ("category_id", "product_category_id", "category", "taxon_id")

_CREATED = (
    *("created_at", "created", "created_on", "create_date", "creation_date", "date_created"),
    *("created_date", "create_time", "created_time", "creation_time", "inserted_at", "date_add"),
    *("date_created_gmt", "date_created_utc", "created_at_utc", "added_at", "date_added"),
)
_UPDATED = (
    *("updated_at", "updated", "updated_on", "update_date", "last_update", "last_updated"),
    *("last_updated_at", "modified_at", "modified", "modified_on", "modified_date", "changed_at"),
    *("date_updated", "date_modified", "last_modified", "last_modified_at", "update_time"),
    *("date_updated_gmt", "updated_at_utc", "updated_date", "changed_on", "write_date"),
    *("last_change", "mtime", "date_upd"),
)


@dataclass(frozen=True)
class ColumnWords:
    """The names of a contract column.

    Attributes:
        tiers: groups of names that mean it; the first group with a match counts.
        weak: names that mean it if no other column may.
        hints: names of columns that a person may make it from.
    """

    tiers: tuple[tuple[str, ...], ...]
    weak: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def _tiers(*tiers: tuple[str, ...], weak: tuple = (), hints: tuple = ()) -> ColumnWords:
    return ColumnWords(tiers, weak, hints)


_UPDATED_AT = _tiers(_UPDATED)
_WHOLE_NAMES = ("name", "full_name", "contact_name", "display_name", "customer_name")

COLUMNS: dict[str, dict[str, ColumnWords]] = {
    "users": {
        "email": _tiers(("email", "mail", "email_address", "e_mail", "mail_address")),
        "first_name": _tiers(("first_name", "fname", "given_name", "forename"), hints=_WHOLE_NAMES),
        "last_name": _tiers(("last_name", "lname", "surname", "family_name"), hints=_WHOLE_NAMES),
        "phone": _tiers(
            ("phone", "phone_number", "telephone", "phone_no"), ("mobile", "mobile_phone", "tel")
        ),
        "birth_date": _tiers(("birth_date", "date_of_birth", "dob", "birthday", "born_on")),
        "country": _tiers(
            ("country", "country_code", "country_iso", "country_iso2", "country_code2"),
            hints=("country_id", "billing_country", "shipping_country"),
        ),
        "subscription_tier": _tiers(
            ("subscription_tier", "subscription_plan", "plan", "tier", "membership_level"),
            hints=("plan_id", "tier_id", "subscription_id", "membership", "plan_name"),
        ),
        "created_at": _tiers(
            (
                *("registered_at", "signed_up_at", "sign_up_date", "signup_date", "date_joined"),
                *("registration_date", "joined_at", "registered", "date_registered", "signup_at"),
                *("join_date", "member_since", "registered_on"),
            ),
            weak=_CREATED,
        ),
        "updated_at": _UPDATED_AT,
        "last_login_at": _tiers(
            ("current_sign_in_at",),  # Devise: last_sign_in_at is the login before
            ("last_login_at", "last_login", "last_sign_in_at", "last_logged_in_at", "login_at"),
            hints=("last_seen_at", "date_last_active", "last_active_at", "last_activity_at"),
        ),
    },
    "categories": {
        "parent_id": _tiers(
            ("parent_id", "parent_category_id", "parent", "parent_category", "id_parent")
        ),
        "category_name": _tiers(("category_name", "name", "title"), weak=("label",)),
        "updated_at": _UPDATED_AT,
    },
    "products": {
        "category_id": _tiers(CATEGORY_KEYS),
        "product_name": _tiers(("product_name", "name", "title"), weak=("label",)),
        "description": _tiers(
            ("description", "product_description", "long_description", "body_html"),
            weak=("description_plaintext", "short_description", "body"),
        ),
        "unit_price": _tiers(
            (
                *("unit_price", "price", "list_price", "regular_price", "base_price"),
                *("standard_price", "sale_price", "retail_price"),
            ),
            hints=("amount", "price_amount", "rental_rate", "min_price", "max_price", "msrp"),
        ),
        "created_at": _tiers(_CREATED),
        "updated_at": _UPDATED_AT,
    },
    "orders": {
        "user_id": _tiers(USER_KEYS),
        "order_status": _tiers(
            ("order_status", "status", "state"),
            hints=(
                *("status_id", "order_status_id", "payment_status", "financial_status"),
                *("payment_state", "fulfillment_status", "shipped_date", "completed_at"),
                *("canceled_at", "cancelled_at", "paid_at", "shipped_at", "current_status"),
            ),
        ),
        "currency": _tiers(
            (
                *("currency", "currency_code", "order_currency", "currency_iso"),
                "order_currency_code",
            )
        ),
        "order_date": _tiers(
            (
                *("order_date", "ordered_at", "placed_at", "purchased_at", "purchase_date"),
                *("date_ordered", "order_time", "order_placed_at", "submitted_at", "order_at"),
                *("order_purchase_timestamp", "order_timestamp", "order_datetime"),
            ),
            weak=(*_CREATED, "completed_at", "date_completed", "date_placed"),
            hints=("paid_at", "date_paid"),
        ),
        "updated_at": _UPDATED_AT,
    },
    "order_items": {
        "order_id": _tiers(ORDER_KEYS),
        "product_id": _tiers(PRODUCT_KEYS, hints=("variant_id", "sku", "item_id", "article_id")),
        "quantity": _tiers(
            ("quantity", "qty", "order_quantity", "product_qty", "ordered_quantity", "qty_ordered"),
            weak=("units", "quantity_ordered", "product_quantity"),
        ),
        "price_at_purchase": _tiers(
            ("price_at_purchase", "unit_price_at_purchase"),
            (
                *("unit_price", "price", "item_price", "product_price", "price_each"),
                *("unit_amount", "selling_price", "sale_price", "purchase_price"),
            ),
            hints=(
                *("unit_price_gross_amount", "unit_price_net_amount", "line_total", "subtotal"),
                *("total", "amount", "total_price", "product_net_revenue", "line_amount"),
                *("product_gross_revenue", "price_total", "agreed_price"),
            ),
        ),
        "updated_at": _UPDATED_AT,
    },
    "payments": {
        "order_id": _tiers(ORDER_KEYS),
        "payment_method": _tiers(
            ("payment_method", "method", "payment_type", "payment_method_type"),
            weak=("gateway", "provider", "payment_provider"),
            hints=("payment_method_id", "provider_id", "source_type"),
        ),
        "payment_status": _tiers(
            ("payment_status", "status", "state"),
            hints=("status_id", "captured_at", "charge_status", "canceled_at"),
        ),
        "amount": _tiers(
            ("amount", "payment_amount", "amount_paid", "paid_amount", "payment_value"),
            hints=("total", "value", "captured_amount", "price", "sum"),
        ),
        "paid_at": _tiers(
            ("paid_at", "payment_date", "paid_on", "captured_at", "date_paid", "payment_at"),
            hints=(*_CREATED, "processed_at", "settled_at", "transaction_date"),
        ),
        "updated_at": _UPDATED_AT,
    },
    "user_sessions": {
        "user_id": _tiers(tuple(name for name in USER_KEYS if name != "client_id"), ("client_id",)),
        "visitor_id": _tiers(
            (
                *("visitor_id", "visitor_token", "visitor_uuid", "visitor_key", "visitor"),
                *("anonymous_id", "anonymous_user_id", "anon_id", "domain_userid"),
                "user_pseudo_id",
            ),
            weak=(
                *("cookie_id", "browser_id", "device_id", "device_uuid", "client_id"),
                "installation_id",
            ),
            hints=("fingerprint", "cookie", "device_token", "network_userid"),
        ),
        "session_start": _tiers(
            ("session_start", "started_at", "start_time", "started", "start_at", "begun_at")
        ),
        "session_end": _tiers(
            ("session_end", "ended_at", "end_time", "ended", "end_at", "finished_at")
        ),
        "device": _tiers(("device", "device_type"), hints=("user_agent", "platform")),
        "updated_at": _UPDATED_AT,
    },
    "events": {
        "user_id": _tiers(USER_KEYS),
        "session_id": _tiers(("session_id", "visit_id", "user_session_id")),
        "event_type": _tiers(
            ("event_type", "event_name"), ("type", "name", "event", "action", "kind")
        ),
        "event_timestamp": _tiers(
            (
                *("event_timestamp", "event_time", "occurred_at", "timestamp", "time"),
                *("event_at", "tracked_at", "happened_at", "event_date"),
            ),
            weak=_CREATED,
        ),
        "page_url": _tiers(("page_url", "url"), weak=("page", "path", "landing_page")),
        "referrer_url": _tiers(("referrer_url", "referrer", "referer", "http_referer")),
        "properties": _tiers(
            ("properties", "props", "payload"), weak=("metadata", "data", "attributes", "params")
        ),
    },
    "consents": {
        "user_id": _tiers(USER_KEYS),
        "purpose": _tiers(("purpose", "consent_type", "type"), weak=("channel", "kind", "topic")),
        "is_granted": _tiers(
            ("is_granted", "granted", "consented", "accepted", "opted_in", "opt_in", "given")
        ),
        "recorded_at": _tiers(
            ("recorded_at", "consented_at", "granted_at", "consent_date"), weak=_CREATED
        ),
    },
    "erasure_requests": {
        "user_id": _tiers(USER_KEYS),
        "requested_at": _tiers(("requested_at", "request_date", "requested_on"), weak=_CREATED),
    },
    "exchange_rates": {
        "currency": _tiers(
            ("currency", "currency_code", "from_currency", "source_currency", "curr", "iso_code")
        ),
        "rate_date": _tiers(
            ("rate_date", "date", "day", "valid_from", "effective_date", "valid_on", "as_of")
        ),
        "rate": _tiers(("rate", "exchange_rate", "conversion_rate", "fx_rate"), weak=("value",)),
        "updated_at": _UPDATED_AT,
    },
}

# The columns without which the warehouse says little: what is missing there is open, not absent.
REQUIRED = {
    "orders": ("order_id", "user_id", "order_status", "currency", "order_date"),
    "order_items": ("order_item_id", "order_id", "product_id", "quantity", "price_at_purchase"),
    "users": ("user_id",),
    "products": ("product_id", "product_name"),
    "categories": ("category_id", "category_name"),
    "payments": ("payment_id", "order_id", "payment_status", "amount", "paid_at"),
    "user_sessions": ("session_id", "user_id", "session_start"),
    "events": ("event_id", "event_type", "event_timestamp"),
    "consents": ("consent_id", "user_id", "purpose", "is_granted", "recorded_at"),
    "erasure_requests": ("request_id", "user_id", "requested_at"),
    "exchange_rates": ("exchange_rate_id", "currency", "rate_date", "rate"),
}
COSTS = {("users", "created_at"): "users without a sign-up date are in no cohort"}
AMOUNTS = {
    ("products", "unit_price"),
    ("order_items", "price_at_purchase"),
    ("payments", "amount"),
}
STATUSES = {
    ("orders", "order_status"): ("order_statuses", "order_status"),
    ("payments", "payment_status"): ("payment_statuses", "payment_status"),
    ("events", "event_type"): ("event_types", "event_type"),
}
PERSONAL = {
    *("email", "first_name", "last_name", "phone", "birth_date"),
    *("visitor_id", "page_url", "referrer_url", "properties"),
}
# What makes a table something else: the store of a framework's sessions, or a calendar.
FOREIGN = {
    "user_sessions": ("payload", "session_data", "data", "session_key", "expires", "sess"),
    "events": ("venue", "venue_id", "starts_at", "ends_at", "start_date", "end_date", "location"),
}
DELETED_TIMES = (
    *("deleted_at", "discarded_at", "deleted_on", "date_deleted", "removed_at", "delete_time"),
)
DELETED_FLAGS = ("is_deleted", "deleted", "is_removed", "soft_deleted")
DISCOUNTS = ("discount", "promo", "adjustment", "rebate", "coupon")
DISCRIMINATORS = ("type", "kind", "record_type", "is_test", "test", "is_draft", "is_template")
STAMPS = {
    "_loaded_at": "{0}",
    "_airbyte_extracted_at": "{0}",
    "_fivetran_synced": "{0}::timestamptz",
    "_dlt_load_id": "to_timestamp({0}::double precision)",
}
