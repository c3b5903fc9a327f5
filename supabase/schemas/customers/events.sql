-- What happened to customer accounts, and how an account reads from outside.

-- Written in the transaction of what it tells about. A failed sign-in to an address that nobody has leaves a row too:
-- it is worth knowing, and the answer takes as long as for one that somebody has.
create table if not exists public.customer_events (
  id bigint generated always as identity primary key,
  customer_id uuid references public.customers (id) on delete restrict,
  name text not null constraint customer_events_name_check check (name ~ '^[a-z_]{3,40}$'),
  actor text not null,
  ip_address text,
  user_agent text,
  request_id text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.customer_events is 'Audit log of customer accounts: append-only, never a secret; kept as core/retention.sql says.';
comment on column public.customer_events.customer_id is 'Null: an attempt on an address that no account has.';
comment on column public.customer_events.name is
  'registered, logged_in, login_failed, verified, password_reset, deleted, …';
comment on column public.customer_events.actor is 'customer, worker, or the e-mail address or name of the staff.';
create index if not exists customer_events_customer_id_idx on public.customer_events (customer_id, created_at);
create index if not exists customer_events_nobodys_idx on public.customer_events (id) where customer_id is null;
create index if not exists customer_events_created_at_idx on public.customer_events using brin (created_at);
create or replace trigger tg_customer_events__append_only before update or delete or truncate on public.customer_events
  for each statement execute function app.tg_append_only();

call app.close_table('public.customer_events');
create policy customer_events_insert_customer on public.customer_events for insert to customer
  with check (customer_id = (select auth.uid()) and actor = 'customer');
grant select, insert on public.customer_events to service_role;
grant insert (customer_id, name, actor, ip_address, user_agent, request_id, details) on public.customer_events to customer;

create or replace function app.record_customer_event(p_customer_id uuid, p_name text, p_details jsonb default '{}')
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_actor jsonb := app.actor();
begin
  insert into public.customer_events (customer_id, name, actor, ip_address, user_agent, request_id, details)
  values (
    p_customer_id, p_name, v_actor ->> 'name', left(v_actor ->> 'ip', 64), left(v_actor ->> 'user_agent', 400),
    left(v_actor ->> 'request_id', 128), p_details
  );
end $$;
comment on function app.record_customer_event is 'Write one audit row within the caller''s transaction.';
grant execute on function app.record_customer_event to customer;

create or replace function public.note_wrong_password(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  perform app.record_customer_event(p_customer_id, 'wrong_password');
end $$;
comment on function public.note_wrong_password is 'Leave an audit row: a signed-in person did not know the password.';

-- Takes the columns, not the row: role customer may not read a whole row.
create or replace function app.customer_json(p_customer_id uuid)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', c.id, 'email', c.email, 'name', c.name, 'phone', c.phone, 'avatar', c.avatar, 'address', c.address,
    'verified_at', c.verified_at, 'status', c.status, 'loyalty_points', c.loyalty_points,
    'total_bookings', c.total_bookings, 'total_spent', c.total_spent, 'created_at', c.created_at
  )
  from public.customers c
  where c.id = p_customer_id;
$$;
comment on function app.customer_json is 'A customer as the API answers it.';
grant execute on function app.customer_json to customer;
