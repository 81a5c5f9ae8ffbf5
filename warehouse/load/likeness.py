"""Names that other applications give to the tables and columns of the contract."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Other names, without underscores and in the singular.
_TABLES = {
    "users": ("customer", "account", "member", "client", "buyer", "person", "people", "appuser"),
    "orders": ("purchase", "sale", "salesorder", "saleorder", "invoice", "transaction"),
    "order_items": ("orderline", "orderdetail", "lineitem", "purchaseitem", "saleline"),
    "products": ("item", "article", "sku", "good", "film"),
    "categories": ("productcategory", "category", "department", "productgroup"),
    "user_sessions": ("session", "visit"),
    "events": ("useraction", "pageview", "track", "activity"),
    "payments": ("charge", "transaction", "payment"),
}
_COLUMNS = {
    "email": ("mail", "emailaddress", "usermail", "useremail"),
    "first_name": ("firstname", "givenname", "forename"),
    "last_name": ("lastname", "surname", "familyname"),
    "phone": ("phonenumber", "mobile", "telephone", "tel"),
    "birth_date": ("birthday", "dateofbirth", "dob"),
    "country": ("countrycode", "nation"),
    "created_at": (
        "created", "createdon", "createdate", "creationdate", "datecreated", "registeredat",
        "signedupat", "insertedat",
    ),
    "updated_at": (
        "updated", "updatedon", "lastupdate", "modified", "modifiedat", "modifiedon", "changedat",
        "lastmodified", "dateupdated", "mtime",
    ),
    "subscription_tier": ("plan", "tier", "subscription", "subscriptionplan"),
    "last_login_at": ("lastlogin", "lastseenat", "lastsigninat"),
    "order_status": ("status", "state"),
    "order_date": ("orderedat", "placedat", "purchasedat", "createdat", "date"),
    "payment_status": ("status", "state"),
    "currency": ("currencycode",),
    "unit_price": ("price", "listprice"),
    "price_at_purchase": ("price", "unitprice"),
    "quantity": ("qty", "count", "amount"),
    "product_name": ("name", "title"),
    "category_name": ("name", "title"),
    "parent_id": ("parentcategoryid", "parent"),
    "user_id": ("customerid", "accountid", "memberid", "clientid", "id"),
    "event_timestamp": ("timestamp", "occurredat", "eventtime", "createdat", "ts"),
    "event_type": ("eventname", "name", "type", "action"),
    "properties": ("payload", "data", "attributes"),
}  # fmt: skip


def like_table(name: str, others: Iterable[str]) -> str | None:
    """The one of the other names that looks most like a table of the contract."""
    return _like(name, others, _TABLES)


def like_column(name: str, others: Iterable[str]) -> str | None:
    """The one of the other names that looks most like a column of the contract."""
    return _like(name, others, _COLUMNS)


def _like(name: str, others: Iterable[str], known: dict[str, tuple[str, ...]]) -> str | None:
    forms = {_form(other): other for other in sorted(others, reverse=True)}
    for wanted in (_form(name), *known.get(name, ())):
        if wanted in forms:
            return forms[wanted]
    close = difflib.get_close_matches(_form(name), forms, n=1, cutoff=0.8)
    return forms[close[0]] if close else None


def _form(name: str) -> str:
    """The name without its capitals, separators and plural."""
    form = "".join(character for character in name.lower() if character.isalnum())
    if form.endswith("ies"):
        return f"{form.removesuffix('ies')}y"
    return form.removesuffix("s")
