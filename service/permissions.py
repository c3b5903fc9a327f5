"""The roles of staff. What each may do stands in supabase/schemas/staff/permissions.sql and comes with the session."""

ROLES = ("Admin", "Manager", "Guide", "Support")
