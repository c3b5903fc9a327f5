"""The migrated database passes what Supabase's linter asks, and each of our queries finds what it looks for."""

from collections.abc import Iterator

import psycopg
import pytest

from devstack.postgres import SUPERUSER
from tests.security.lints import LINTS
from tools.stack import Stack

# One offence for each lint: what stands here, made and undone, has to be found.
OFFENCES = {
    "unindexed_foreign_keys": "create table public.bad"
    " (id int primary key, booking_id public.booking_key references public.bookings)",
    "no_primary_key": "create table app.bad (id int)",
    "auth_users_exposed": "create table auth.users (id int primary key);"
    " create view public.bad as select id from auth.users; grant select on public.bad to authenticated",
    "auth_rls_initplan": "create policy bad on public.customers for select to customer using (id = auth.uid())",
    "multiple_permissive_policies": "create policy bad on public.packages for all to anon using (false)",
    "policy_exists_rls_disabled": "alter table public.packages disable row level security",
    "duplicate_index": "create index bad on public.transactions (booking_id);"
    " create index bad2 on public.transactions (booking_id)",
    "security_definer_view": "create view public.bad as select 1 as one",
    "function_search_path_mutable": "create function app.bad() returns int language sql as 'select 1'",
    "rls_disabled_in_public": "create table public.bad (id int primary key)",
    "extension_in_public": "create extension vector schema public",
    "rls_references_user_metadata": "create policy bad on public.faqs for select to authenticated"
    " using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'staff')",
    "materialized_view_in_api": "create materialized view public.bad as select 1 as one;"
    " grant select on public.bad to staff",
    "foreign_table_in_api": "create foreign data wrapper bad; create server bad foreign data wrapper bad;"
    " create foreign table public.bad (id int) server bad; grant select on public.bad to anon",
    "unsupported_reg_types": "create table app.bad (id regproc primary key)",
    "insecure_queue_exposed_in_api": "create schema if not exists pgmq; create table pgmq.bad (id int)",
    "fkey_to_auth_unique": "create table auth.bad (id int primary key);"
    " create table public.bad (id int primary key references auth.bad)",
    "sensitive_columns_exposed": "alter table public.packages add column api_key text",
    "rls_policy_always_true": "create policy bad on public.packages for delete to anon using (true)",
    "public_bucket_allows_listing": "create table storage.objects (bucket_id text);"
    " create policy bad on storage.objects for select to anon using (bucket_id = 'site-assets')",
    "anon_security_definer_function_executable": "create function public.bad() returns int language sql"
    " security definer set search_path = '' as 'select 1'; grant execute on function public.bad to anon",
    "authenticated_security_definer_function_executable": "create function public.bad() returns int language sql"
    " security definer set search_path = '' as 'select 1'; grant execute on function public.bad to staff",
}
# Whose offence takes more than a statement.
UNPROVEN = {"pg_graphql_anon_table_exposed"}


@pytest.fixture
def undone(stack: Stack) -> Iterator[psycopg.Connection]:
    """The superuser's transaction of which nothing stays; it waits for no lock that another test may hold."""
    with psycopg.connect(stack.postgres.uri(SUPERUSER)) as superuser:
        superuser.execute("set local lock_timeout = '5s'")
        yield superuser
        superuser.rollback()


@pytest.mark.parametrize("lint", LINTS)
def test_the_linter_finds_nothing(lint: str, stack: Stack, db: psycopg.Connection):
    assert db.execute(LINTS[lint].encode()).fetchall() == []


@pytest.mark.parametrize("lint", OFFENCES)
def test_each_lint_finds_its_offence(lint: str, undone: psycopg.Connection):
    undone.execute(OFFENCES[lint].encode())
    assert undone.execute(LINTS[lint].encode()).fetchall() != []


def test_every_lint_has_been_seen_to_find_something():
    assert set(OFFENCES) | UNPROVEN == set(LINTS)


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        (
            "bookings",
            "name, email, package, travel_date, status",
            "'A', 'a@example.com', 'P', '2031-01-01', 'Confirmed'",
        ),
        (
            "bookings",
            "name, email, package, travel_date, payment_status",
            "'A', 'a@example.com', 'P', '2031-01-01', 'Paid'",
        ),
        ("testimonials", "name, message, status", "'A', 'Fine', 'published'"),
        ("support_tickets", "subject, customer, email, status", "'S', 'A', 'a@example.com', 'Closed'"),
        ("support_tickets", "subject, customer, email, assigned_to", "'S', 'A', 'a@example.com', 'me'"),
    ],
)
def test_a_visitors_row_is_checked_by_policy_where_no_trigger_put_it_right(
    table: str, columns: str, values: str, undone: psycopg.Connection
):
    insert = f"insert into public.{table} ({columns}) values ({values})"
    undone.execute("set local role anon")
    with undone.transaction():
        undone.execute(insert.encode())
    undone.execute("reset role")
    undone.execute(f"alter table public.{table} disable trigger tg_{table}__guard_visitor".encode())
    undone.execute("set local role anon")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        undone.execute(insert.encode())
