-- The tables that were there before Phase 1 and that Phase 1 touches: packages, itineraries, admin_users, bookings.
--
-- A fresh project gets them here; on an existing one every statement finds its table and changes nothing. What Phase 1
-- adds to them stands in the next file.
--
-- booking_key is the type of bookings.id: uuid on a fresh database, and on an existing one whatever is found there
-- (integer, as a rule). All that refers to a booking uses the domain, so that one text serves both.
--
-- Roll back: supabase/rollbacks/20250605000000_baseline.sql (drops the tables; never on an existing project).

do $$
declare
  v_found text := (
    select format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    where a.attrelid = to_regclass('public.bookings') and a.attname = 'id' and not a.attisdropped
  );
begin
  if to_regtype('public.booking_key') is null then
    execute format('create domain public.booking_key as %s', coalesce(v_found, 'uuid'));
  end if;
end $$;
comment on domain public.booking_key is 'Type of bookings.id: uuid on a fresh database, the type found on an existing one.';

create table if not exists public.packages (
  id serial primary key,
  title text not null,
  description text,
  price numeric(12, 2) not null default 0,
  duration integer,
  image text,
  destinations text[] not null default '{}',
  featured boolean not null default false,
  rating numeric(3, 1),
  accommodations text,
  included text[] not null default '{}',
  excluded text[] not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.packages is 'Travel packages as the site sells them; price per guest in currency units.';

create table if not exists public.itineraries (
  id serial primary key,
  package_id integer not null references public.packages (id) on delete cascade,
  day integer not null,
  title text not null,
  description text
);
comment on table public.itineraries is 'What happens on each day of a package.';
create index if not exists itineraries_package_id_idx on public.itineraries (package_id);

create table if not exists public.admin_users (
  id serial primary key,
  name text not null,
  email text not null unique,
  phone text,
  role text not null default 'Support',
  avatar text,
  status text not null default 'Active',
  last_login timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.admin_users is 'Staff accounts.';

do $$
begin
  if to_regclass('public.bookings') is null then
    create table public.bookings (
      id public.booking_key primary key default gen_random_uuid(),
      name text not null,
      email text not null,
      phone text,
      package text,
      travel_date date,
      booking_date date default current_date,
      amount numeric(12, 2) not null default 0,
      status text not null default 'Pending'
        constraint bookings_status_check check (status in ('Pending', 'Confirmed', 'Cancelled', 'Completed')),
      message text,
      payment_status text not null default 'Pending'
        constraint bookings_payment_status_check check (payment_status in ('Paid', 'Pending', 'Refunded')),
      source text,
      assigned_to text,
      notes text,
      created_at timestamptz not null default now()
    );
  end if;
end $$;
comment on table public.bookings is 'Bookings of packages by customers and guests; amount in currency units.';

notify pgrst, 'reload schema';
