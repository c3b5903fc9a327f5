-- What Phase 1 needs of the tables that were there before it, and the trigger functions that its own tables share.
--
-- Tables: packages, itineraries, admin_users, bookings (columns, checks, indexes, row-level security).
-- Functions: tg_set_updated_at(), tg_append_only(), to_booking_key(). None is SECURITY DEFINER.
-- Roll back: supabase/rollbacks/20251026000000_extend_existing_tables.sql

create or replace function public.tg_set_updated_at() returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function public.tg_set_updated_at() is 'Keeps updated_at current; for "before update" triggers.';
revoke all on function public.tg_set_updated_at() from public, anon, authenticated;

-- Audit tables tell what happened: nobody may change that afterwards, the service and the owner included.
create or replace function public.tg_append_only() returns trigger language plpgsql set search_path = '' as $$
begin
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = '42501';
end $$;
comment on function public.tg_append_only() is 'Refuses update, delete and truncate; for audit tables.';
revoke all on function public.tg_append_only() from public, anon, authenticated;

-- Ids arrive as text or number: what cannot be one must answer "no such booking" and not break the query.
create or replace function public.to_booking_key(p_text text) returns public.booking_key
language plpgsql immutable set search_path = '' as $$
begin
  return p_text::public.booking_key;
exception when invalid_text_representation or numeric_value_out_of_range then
  return null;
end $$;
comment on function public.to_booking_key(text) is 'The booking id that a text stands for; null when it cannot be one.';
revoke all on function public.to_booking_key(text) from public, anon, authenticated;
grant execute on function public.to_booking_key(text) to service_role;

create unique index if not exists admin_users_email_lower_idx on public.admin_users (lower(email));

alter table public.bookings
  add column if not exists package_id integer,
  add column if not exists customer_id uuid,
  add column if not exists number_of_guests integer not null default 1,
  add column if not exists return_date date,
  add column if not exists special_requests text,
  add column if not exists currency text not null default 'usd',
  add column if not exists payment_id text,
  add column if not exists payment_method text,
  add column if not exists payment_date timestamptz,
  add column if not exists invoice_id text,
  add column if not exists invoice_url text;
comment on column public.bookings.package is 'The title of the package at the time of booking.';
comment on column public.bookings.customer_id is 'Whose it is; null for a guest who has not proven the address.';
comment on column public.bookings.currency is 'ISO 4217, lower case.';
comment on column public.bookings.payment_id is 'The gateway''s id of the payment that paid it.';
comment on column public.bookings.payment_status is 'Follows all transactions of the booking, by trigger.';

do $$
declare
  v_check text;
begin
  if not exists (
    select from pg_constraint where conrelid = 'public.bookings'::regclass and conname = 'bookings_package_id_fkey'
  ) then
    alter table public.bookings add constraint bookings_package_id_fkey
      foreign key (package_id) references public.packages (id) on delete set null;
  end if;
  -- Existing projects allow only Paid, Pending and Refunded, under whatever name: a failed payment must fit as well.
  for v_check in
    select conname from pg_constraint
    where conrelid = 'public.bookings'::regclass and contype = 'c'
      and pg_get_constraintdef(oid) ~ '\mpayment_status\M'
  loop
    execute format('alter table public.bookings drop constraint %I', v_check);
  end loop;
  alter table public.bookings add constraint bookings_payment_status_check
    check (payment_status in ('Paid', 'Pending', 'Refunded', 'Failed'));
end $$;

create index if not exists bookings_customer_id_idx on public.bookings (customer_id);
create index if not exists bookings_email_lower_idx on public.bookings (lower(email));
create index if not exists bookings_package_id_idx on public.bookings (package_id);
create index if not exists bookings_created_at_idx on public.bookings (created_at desc);

alter table public.packages enable row level security;
alter table public.itineraries enable row level security;
alter table public.admin_users enable row level security;
alter table public.bookings enable row level security;

grant select, insert, update, delete
  on public.packages, public.itineraries, public.admin_users, public.bookings to service_role;
do $$
declare
  v_table text;
  v_sequence text;
begin
  -- Only where the key is a number, and whatever the sequence is called on an existing project.
  foreach v_table in array array['packages', 'itineraries', 'admin_users', 'bookings'] loop
    v_sequence := pg_get_serial_sequence('public.' || v_table, 'id');
    if v_sequence is not null then
      execute format('grant usage on sequence %s to service_role', v_sequence);
    end if;
  end loop;
end $$;

notify pgrst, 'reload schema';
