-- Customer accounts: who the customers are, their sessions, the links that were mailed to them, their address book and
-- preferences, and the lock that keeps each to their own: the service acts as role customer on a customer's rows, so that
-- row-level security stands behind its own filters.

-- A deleted account keeps its row, emptied of the person, because payments and audit rows refer to it.
create table if not exists public.customers (
  id uuid primary key default gen_random_uuid(),
  email text constraint customers_email_check check (length(email) between 3 and 254),
  password_hash text,
  name text,
  phone text,
  avatar text,
  address text,
  status text not null default 'pending'
    constraint customers_status_check check (status in ('pending', 'active', 'inactive', 'suspended')),
  verified_at timestamptz,
  owner_proven_at timestamptz,
  password_changed_at timestamptz not null default now(),
  loyalty_points integer not null default 0 constraint customers_loyalty_points_check check (loyalty_points >= 0),
  total_bookings integer not null default 0,
  total_spent numeric(14, 2) not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint customers_active_is_verified check (status <> 'active' or verified_at is not null),
  constraint customers_live_or_emptied check (
    case when deleted_at is null
      then email is not null and password_hash is not null and name is not null
      else status = 'inactive' and coalesce(email, password_hash, name, phone, avatar, address) is null
    end
  )
);
comment on table public.customers is 'Customer accounts. A deleted one stays as an emptied row while bookings, payments or events refer to it.';
comment on column public.customers.email is 'Unique without regard to case among live accounts.';
comment on column public.customers.password_hash is 'bcrypt ($2a$, $2b$). Read by service_role alone.';
comment on column public.customers.status is
  'pending: address not proven · active · inactive and suspended: may not sign in, by staff or after deletion.';
comment on column public.customers.verified_at is
  'When the address was proven by a mailed link, or verified by hand by staff.';
comment on column public.customers.owner_proven_at is
  'When whoever has the password was seen to read the address''s mail. Until then nothing from before the account is theirs.';
comment on column public.customers.password_changed_at is 'Reset mails older than this have lost their purpose.';
comment on column public.customers.total_spent is 'Currency units really paid: completed payments less refunds.';
create unique index if not exists customers_email_lower_idx on public.customers (lower(email)) where deleted_at is null;
create index if not exists customers_unproven_idx on public.customers (created_at)
  where verified_at is null and deleted_at is null;

call app.bound_name('public.customers', 'name', 1, 100);

-- What a token names with its claim `sid`. The row is looked up on every request; a session that ends loses its row.
create table if not exists public.customer_sessions (
  id uuid primary key default gen_random_uuid(),
  customer_id uuid not null references public.customers (id) on delete cascade,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null
);
comment on table public.customer_sessions is 'Live sessions. Ending one deletes its row; customer_events remembers it.';
comment on column public.customer_sessions.ip_address is 'Of the sign-in, as seen behind the configured proxies.';
comment on column public.customer_sessions.last_seen_at is 'Written at most once a minute.';
create index if not exists customer_sessions_customer_id_idx on public.customer_sessions (customer_id, created_at);
create index if not exists customer_sessions_expires_at_idx on public.customer_sessions (expires_at);

-- The token itself is made as the mail is sent and is nowhere at rest: only its SHA-256 is here.
create table if not exists public.email_verification_tokens (
  id uuid primary key default gen_random_uuid(),
  customer_id uuid not null references public.customers (id) on delete cascade,
  email_id uuid not null,
  token_hash text not null constraint email_verification_tokens_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$'),
  expires_at timestamptz not null,
  used_at timestamptz,
  superseded_at timestamptz,
  created_at timestamptz not null default now(),
  constraint email_verification_tokens_token_hash_key unique (token_hash)
);
comment on table public.email_verification_tokens is 'Links that prove an address: one use, the newest mail counts.';
comment on column public.email_verification_tokens.email_id is
  'The mail that carries it; one that was sent twice carries two. No foreign key: old mails are purged.';
comment on column public.email_verification_tokens.superseded_at is 'When a newer mail of the kind went out.';
create index if not exists email_verification_tokens_customer_id_idx on public.email_verification_tokens (customer_id);
create index if not exists email_verification_tokens_expires_at_idx on public.email_verification_tokens (expires_at);

create table if not exists public.password_reset_tokens (
  id uuid primary key default gen_random_uuid(),
  customer_id uuid not null references public.customers (id) on delete cascade,
  email_id uuid not null,
  token_hash text not null constraint password_reset_tokens_token_hash_check check (token_hash ~ '^[0-9a-f]{64}$'),
  expires_at timestamptz not null,
  used_at timestamptz,
  superseded_at timestamptz,
  created_at timestamptz not null default now(),
  constraint password_reset_tokens_token_hash_key unique (token_hash)
);
comment on table public.password_reset_tokens is 'Links that set a new password, like email_verification_tokens.';
create index if not exists password_reset_tokens_customer_id_idx on public.password_reset_tokens (customer_id);
create index if not exists password_reset_tokens_expires_at_idx on public.password_reset_tokens (expires_at);

create table if not exists public.customer_addresses (
  id uuid primary key default gen_random_uuid(),
  customer_id uuid not null references public.customers (id) on delete cascade,
  label text not null,
  name text,
  phone text,
  street text not null,
  city text not null,
  state text,
  postal_code text,
  country text not null,
  is_default boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.customer_addresses is 'Address book, at most 20 a customer, at most one of them the default.';
create index if not exists customer_addresses_customer_id_idx on public.customer_addresses (customer_id, created_at);
create unique index if not exists customer_addresses_default_idx
  on public.customer_addresses (customer_id) where is_default;

create table if not exists public.customer_preferences (
  customer_id uuid primary key references public.customers (id) on delete cascade,
  language text not null default 'en',
  currency text not null default app.booking_currency(null),
  timezone text not null default 'UTC',
  newsletter boolean not null default false,
  sms boolean not null default false,
  email_notifications boolean not null default true,
  updated_at timestamptz not null default now()
);
comment on table public.customer_preferences is 'What a customer chose; each has a row.';
comment on column public.customer_preferences.language is 'BCP 47.';
comment on column public.customer_preferences.currency is 'ISO 4217, lower case; the agency''s until another is chosen.';

create or replace trigger tg_customers__set_updated_at before update on public.customers
  for each row execute function app.tg_set_updated_at();
create or replace trigger tg_customer_addresses__set_updated_at before update on public.customer_addresses
  for each row execute function app.tg_set_updated_at();
create or replace trigger tg_customer_preferences__set_updated_at before update on public.customer_preferences
  for each row execute function app.tg_set_updated_at();

-- Both tables are older than this one, so their columns waited for it.
alter table public.bookings
  drop constraint if exists bookings_customer_id_fkey,
  add constraint bookings_customer_id_fkey foreign key (customer_id) references public.customers (id) on delete set null;
alter table public.transactions
  drop constraint if exists transactions_customer_id_fkey,
  add constraint transactions_customer_id_fkey
    foreign key (customer_id) references public.customers (id) on delete set null;

-- Sessions and tokens have no policy: only the service sees them.
call app.close_table('public.customers');
call app.close_table('public.customer_sessions');
call app.close_table('public.email_verification_tokens');
call app.close_table('public.password_reset_tokens');
call app.close_table('public.customer_addresses');
call app.close_table('public.customer_preferences');
create policy customers_select_customer on public.customers for select to customer
  using (id = (select auth.uid()) and deleted_at is null);
create policy customers_update_customer on public.customers for update to customer
  using (id = (select auth.uid()) and deleted_at is null) with check (id = (select auth.uid()));

create policy customer_addresses_select_customer on public.customer_addresses for select to customer
  using (customer_id = (select auth.uid()));
create policy customer_addresses_insert_customer on public.customer_addresses for insert to customer
  with check (customer_id = (select auth.uid()));
create policy customer_addresses_update_customer on public.customer_addresses for update to customer
  using (customer_id = (select auth.uid())) with check (customer_id = (select auth.uid()));
create policy customer_addresses_delete_customer on public.customer_addresses for delete to customer
  using (customer_id = (select auth.uid()));

create policy customer_preferences_select_customer on public.customer_preferences for select to customer
  using (customer_id = (select auth.uid()));
create policy customer_preferences_insert_customer on public.customer_preferences for insert to customer
  with check (customer_id = (select auth.uid()));
create policy customer_preferences_update_customer on public.customer_preferences for update to customer
  using (customer_id = (select auth.uid())) with check (customer_id = (select auth.uid()));
grant select, insert, update, delete
  on public.customers, public.customer_sessions, public.email_verification_tokens, public.password_reset_tokens,
  public.customer_addresses, public.customer_preferences to service_role;
grant select (
  id, email, name, phone, avatar, address, status, verified_at, loyalty_points, total_bookings, total_spent, created_at,
  updated_at
), update (name, phone, avatar, address) on public.customers to customer;
grant select, insert (customer_id, label, name, phone, street, city, state, postal_code, country, is_default),
  update (label, name, phone, street, city, state, postal_code, country, is_default), delete
  on public.customer_addresses to customer;
grant select, insert (customer_id, language, currency, timezone, newsletter, sms, email_notifications),
  update (language, currency, timezone, newsletter, sms, email_notifications) on public.customer_preferences to customer;

-- For a call that was let in just before its account was deleted: it must leave nothing behind.
create or replace function app.lock_customer(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  perform from public.customers where id = p_customer_id and email is not null for no key update;
  if not found then
    raise sqlstate 'PT401' using message = 'Your session has ended. Please log in again.', hint = 'session_ended';
  end if;
end $$;
comment on function app.lock_customer is 'Hold the row of an account that still exists. PT401 session_ended.';
grant execute on function app.lock_customer to customer;
