-- Purpose: what happened to customer accounts, for ever, and how an account reads from outside.
-- Tables: customer_events (append-only). Functions: record_customer_event, customer_json.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251026000004_add_customer_events.sql

-- Written in the transaction of what it tells about. A failed sign-in to an address that nobody has leaves a row too:
-- it is worth knowing, and the answer takes as long as for one that somebody has.
create table if not exists public.customer_events (
  id bigint generated always as identity primary key,
  customer_id uuid references public.customers (id) on delete restrict,
  name text not null constraint customer_events_name_is_a_name check (name ~ '^[a-z_]{3,40}$'),
  actor text not null,
  ip_address text,
  user_agent text,
  request_id text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.customer_events is 'Audit log of customer accounts: append-only, never a secret.';
comment on column public.customer_events.customer_id is 'Null: an attempt on an address that no account has.';
comment on column public.customer_events.name is 'registered, logged_in, login_failed, verified, password_reset, deleted, …';
comment on column public.customer_events.actor is 'customer, worker, or the e-mail address or name of the staff.';
create index if not exists customer_events_customer_id_idx on public.customer_events (customer_id, created_at);

drop trigger if exists customer_events_append_only on public.customer_events;
create trigger customer_events_append_only before update or delete on public.customer_events
  for each row execute function public.tg_append_only();
drop trigger if exists customer_events_no_truncate on public.customer_events;
create trigger customer_events_no_truncate before truncate on public.customer_events
  for each statement execute function public.tg_append_only();

alter table public.customer_events enable row level security;
drop policy if exists customer_events_insert_customer on public.customer_events;
create policy customer_events_insert_customer on public.customer_events for insert to customer
  with check (customer_id = (select auth.uid()) and actor = 'customer');
revoke all on public.customer_events from anon, authenticated;
grant select, insert on public.customer_events to service_role;
grant insert (customer_id, name, actor, ip_address, user_agent, request_id, details) on public.customer_events to customer;

create or replace function public.record_customer_event(
  p_customer_id uuid,
  p_name text,
  p_request jsonb,
  p_actor text default 'customer',
  p_details jsonb default '{}'
) returns void
language sql volatile security invoker set search_path = ''
as $$
  insert into public.customer_events (customer_id, name, actor, ip_address, user_agent, request_id, details)
  values (
    p_customer_id, p_name, p_actor, left(p_request ->> 'ip', 64), left(p_request ->> 'user_agent', 400),
    left(p_request ->> 'request_id', 128), p_details
  );
$$;
comment on function public.record_customer_event is
  'Write one audit row within the caller''s transaction; p_request is {"ip", "user_agent", "request_id"}.';
revoke all on function public.record_customer_event from public, anon, authenticated;
grant execute on function public.record_customer_event to service_role, customer;

-- Takes the columns, not the row: role customer may not read a whole row.
create or replace function public.customer_json(p_customer_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'id', c.id, 'email', c.email, 'name', c.name, 'phone', c.phone, 'avatar', c.avatar, 'address', c.address,
    'verified_at', c.verified_at, 'status', c.status, 'loyalty_points', c.loyalty_points,
    'total_bookings', c.total_bookings, 'total_spent', c.total_spent, 'created_at', c.created_at
  )
  from public.customers c
  where c.id = p_customer_id;
$$;
comment on function public.customer_json is 'A customer as the API answers it.';
revoke all on function public.customer_json from public, anon, authenticated;
grant execute on function public.customer_json to service_role, customer;

notify pgrst, 'reload schema';
