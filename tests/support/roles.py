"""Roles of the warehouse in tests: they belong to the server, which many tests share."""

from __future__ import annotations

from warehouse.privacy import roles


def dropped_roles() -> list[str]:
    """The statements that drop the roles, in a database whose other rights are dropped with it."""
    names = ", ".join(roles.name_of(role) for role in roles.ROLES)
    return [f"drop owned by {names}", f"drop role {names}"]
