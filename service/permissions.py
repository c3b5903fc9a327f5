"""Which role may do what, as in the original table."""

RESOURCES = ("destinations", "packages", "gallery", "blog", "faq", "testimonials")
VERBS = ("view", "create", "edit", "delete")

ALL = frozenset(
    [f"{resource}_{verb}" for resource in (*RESOURCES, "users", "bookings", "tickets") for verb in VERBS]
    + ["users_change_role", "testimonials_approve", "tickets_assign", "settings_view", "settings_edit"]
    + [f"bookings_{task}" for task in ("reassign", "update_payment", "send_reminder", "export", "bulk_actions")]
    + ["reports_view", "dashboard_view"]
)
MANAGER = ALL - {
    "users_create",
    "users_edit",
    "users_delete",
    "users_change_role",
    "bookings_delete",
    "testimonials_create",
    "testimonials_edit",
    "testimonials_delete",
    "tickets_delete",
    "settings_view",
    "settings_edit",
}
GUIDE = frozenset(
    [f"{resource}_view" for resource in RESOURCES] + ["bookings_view", "bookings_send_reminder", "dashboard_view"]
)
SUPPORT = GUIDE | {"bookings_create", "bookings_edit", "tickets_view", "tickets_create", "tickets_edit"}

ROLES: dict[str, frozenset[str]] = {"Admin": ALL, "Manager": MANAGER, "Guide": GUIDE, "Support": SUPPORT}


def allows(role: str, permission: str) -> bool:
    """Whether the role has the permission; an unknown role has none."""
    return permission in ROLES.get(role, frozenset())
