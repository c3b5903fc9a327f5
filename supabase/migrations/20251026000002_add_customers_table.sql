-- Put together by `make migration` from these files of supabase/schemas, where the text is edited:
--   customers/customers.sql bookings/stats.sql customers/ownership.sql customers/mail_preferences.sql
--   customers/unproven_addresses.sql bookings/mails.sql
-- Roll back: supabase/rollbacks/20251026000002_add_customers_table.sql

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

-- What a customer booked, spent and earned, kept current by the rows it follows from.

-- The original's migrations leave these behind although the tables that they ask were never made.
drop function if exists public.calculate_loyalty_points(integer), public.update_customer_stats(integer);

create or replace function public.calculate_loyalty_points(p_customer_id uuid)
returns integer language sql stable set search_path = '' as $$
  select floor(greatest(c.total_spent, 0) / 10)::integer from public.customers c where c.id = p_customer_id;
$$;
comment on function public.calculate_loyalty_points(uuid) is '1 point for each full 10 currency units really paid.';

-- Always counted anew from the rows, so the figures cannot drift. The lock comes first, in a statement of its own: the
-- counting statements then see what another transaction of the same customer has just committed.
create or replace function public.update_customer_stats(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_bookings integer;
  v_spent numeric;
begin
  perform from public.customers where id = p_customer_id for no key update;
  select count(*) into v_bookings from public.bookings where customer_id = p_customer_id and status <> 'Cancelled';
  select round(coalesce(sum(app.to_units(amount_left, currency)), 0), 2) into v_spent
  from public.transactions
  where customer_id = p_customer_id and status = 'completed' and currency = app.booking_currency(null);
  update public.customers set total_bookings = v_bookings, total_spent = v_spent
  where id = p_customer_id and (total_bookings, total_spent) is distinct from (v_bookings, v_spent);
  update public.customers set loyalty_points = public.calculate_loyalty_points(id)
  where id = p_customer_id and loyalty_points <> public.calculate_loyalty_points(id);
end $$;
comment on function public.update_customer_stats(uuid) is
  'Count total_bookings (without cancelled ones), total_spent (payments less what went back, in the agency''s currency) and '
  'loyalty_points anew.';

-- Definer: staff changes a booking's status, and neither counts nor sees customers.
create or replace function app.tg_update_customer_stats()
returns trigger language plpgsql volatile security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and old.customer_id <> new.customer_id then
    -- In the same order whichever way a row is handed over, so that two of them do not wait for each other.
    perform from public.customers where id in (old.customer_id, new.customer_id) order by id for no key update;
  end if;
  if tg_op <> 'INSERT' and old.customer_id is not null then
    perform public.update_customer_stats(old.customer_id);
  end if;
  if tg_op <> 'DELETE' and new.customer_id is not null
    and (tg_op = 'INSERT' or new.customer_id is distinct from old.customer_id) then
    perform public.update_customer_stats(new.customer_id);
  end if;
  return null;
end $$;
comment on function app.tg_update_customer_stats is
  'Keeps the totals of the row''s customer current; "after" triggers.';

create or replace trigger tg_bookings__update_customer_stats
  after insert or delete or update of customer_id, status on public.bookings
  for each row execute function app.tg_update_customer_stats();
create or replace trigger tg_transactions__update_customer_stats
  after insert or delete or update of customer_id, status, amount, amount_refunded, amount_withdrawn, currency
  on public.transactions
  for each row execute function app.tg_update_customer_stats();

-- Whose a booking is: the verified customer's whose address it carries, from the moment it is made or its address changes,
-- by whatever door; else the customer's who was signed in while making it. What was booked before the address was verified
-- is the customer's once it is sure that nobody else made the account.

-- Of a visitor who is signed in the service names the session, in the token that it makes for requests of /rest/v1.
create or replace function app.visiting_customer()
returns uuid language plpgsql stable set search_path = '' as $$
declare
  v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
begin
  return (
    select s.customer_id from public.customer_sessions s join public.customers c on c.id = s.customer_id
    where s.id = (v_claims ->> 'sid')::uuid and s.customer_id = (v_claims ->> 'customer')::uuid and s.expires_at > now()
      and c.deleted_at is null and c.status in ('pending', 'active') and v_claims ->> 'role' = 'anon'
  );
end $$;
comment on function app.visiting_customer is 'The customer who is signed in while asking as a visitor; null for nobody.';

create or replace function app.find_verified_customer(p_email text)
returns uuid language sql stable set search_path = '' as $$
  select id from public.customers where lower(email) = lower(p_email) and deleted_at is null and verified_at is not null;
$$;
comment on function app.find_verified_customer is 'The customer who has proven that address; null for nobody.';

create or replace function app.proven_address(p_customer_id uuid)
returns text language sql stable set search_path = '' as $$
  select lower(email) from public.customers
  where id = p_customer_id and verified_at is not null and owner_proven_at is not null;
$$;
comment on function app.proven_address is
  'The address of which everything is the customer''s, also what is older than the account; null while it is not sure that '
  'whoever made the account is the one who verified it.';

-- Anybody can make an account with somebody's address, and whose it is then follows the link as well as anybody. So a
-- verified address alone hands nothing over: the password has to be the one of who reads the mail.
create or replace function app.prove_owner(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
begin
  update public.customers set owner_proven_at = now() where id = p_customer_id and owner_proven_at is null;
  update public.bookings set customer_id = p_customer_id
  where customer_id is null and lower(email) = app.proven_address(p_customer_id);
end $$;
comment on function app.prove_owner is
  'Note that who has the password reads the address''s mail: what was booked as guest with a verified address is theirs.';

create or replace function app.lock_address(p_email text)
returns void language sql volatile set search_path = '' as $$
  select pg_advisory_xact_lock(hashtextextended('address:' || lower(p_email), 0)) where p_email <> '';
$$;
comment on function app.lock_address is
  'Taken before all rows by who proves or gives up an address, and by a booking that carries it: neither misses the other. '
  'A change of address straight in the table takes it after the row, and may have to be tried again.';

-- After the row is there, so that a visitor who books under somebody's address is not shown that it has an account. Who is
-- signed in can tell by the list of their own bookings; a limit of how many one books stands in its way.
-- Definer: visitors and staff do not read customers.
create or replace function app.tg_bookings__find_customer()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_customer_id uuid;
begin
  perform app.lock_address(new.email);
  v_customer_id := app.find_verified_customer(new.email);
  if tg_op = 'INSERT' then
    if v_customer_id is null then
      v_customer_id := coalesce(new.customer_id, app.visiting_customer());
      perform app.lock_customer(v_customer_id) where v_customer_id is not null;
    end if;
  elsif v_customer_id is null and new.customer_id is distinct from app.find_verified_customer(old.email) then
    return null;  -- it was not theirs by its address
  end if;
  update public.bookings set customer_id = v_customer_id where id = new.id and customer_id is distinct from v_customer_id;
  return null;
end $$;
comment on function app.tg_bookings__find_customer is 'Gives a booking to the verified customer whose address it carries.';

create or replace trigger tg_bookings__find_customer after insert on public.bookings
  for each row execute function app.tg_bookings__find_customer();
create or replace trigger tg_bookings__find_customer_anew after update of email on public.bookings
  for each row when (lower(old.email) is distinct from lower(new.email)) execute function app.tg_bookings__find_customer();

-- Definer: visitors and staff do not write transactions.
create or replace function app.tg_bookings__hand_over_payments()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update public.transactions set customer_id = new.customer_id
  where booking_id = new.id and customer_id is distinct from new.customer_id;
  return null;
end $$;
comment on function app.tg_bookings__hand_over_payments is 'The payments of a booking belong to whom the booking belongs to.';
create or replace trigger tg_bookings__hand_over_payments after update of customer_id on public.bookings
  for each row when (old.customer_id is distinct from new.customer_id)
  execute function app.tg_bookings__hand_over_payments();

-- What a customer chose decides how mails to the proven address read, and whether those that only inform are sent at all.

create or replace function app.tg_email_outbox__apply_preferences()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_chosen public.customer_preferences;
begin
  select p.* into v_chosen from public.customer_preferences p
  where p.customer_id = coalesce(new.customer_id, app.find_verified_customer(new.recipient));
  new.data := new.data - 'language';
  if v_chosen.language <> 'en' then
    new.data := new.data || jsonb_build_object('language', v_chosen.language);
  end if;
  if v_chosen.email_notifications is false and new.template in ('booking-received', 'booking-reminder', 'payment-failed') then
    new.state := 'dropped';
    new.data := '{}';
    new.finished_at := now();
    new.last_error := 'The customer wants no such mails.';
  end if;
  return new;
end $$;
comment on function app.tg_email_outbox__apply_preferences is
  'Notes the language for the template, and drops what informs only where the customer wants no notifications.';

-- Of the recipient as well: a mail that waits goes with its booking to another address, whose owner chose for themselves.
create or replace trigger tg_email_outbox__apply_preferences before insert or update of recipient on public.email_outbox
  for each row execute function app.tg_email_outbox__apply_preferences();

-- Anybody can have mail sent to anybody's address: by registering with it, by booking with it, by a card that is declined.
-- So what an address gets that nobody has proven is bounded, however it is caused, and says nothing in a stranger's words.

create table if not exists app.mail_limits (
  seconds integer primary key constraint mail_limits_seconds_check check (seconds > 0),
  count integer not null constraint mail_limits_count_check check (count > 0)
);
comment on table app.mail_limits is 'How many mails within so many seconds strangers may cause to be sent to one address.';
insert into app.mail_limits (seconds, count) values (3600, 6), (86400, 20) on conflict do nothing;
grant select on app.mail_limits to service_role;

create or replace function app.is_proven_address(p_email text)
returns boolean language sql stable set search_path = '' as $$
  select app.find_verified_customer(p_email) is not null
    or exists (select from public.admin_users where lower(email) = lower(p_email));
$$;
comment on function app.is_proven_address is 'Whether the address is a verified customer''s or a member of staff''s.';

-- The title of a package is staff's, whatever else a visitor names as what he books is not.
create or replace function app.without_strangers_words(p_data jsonb)
returns jsonb language sql stable set search_path = '' as $$
  select p_data
    || case when p_data ? 'name' then '{"name": null}' else '{}' end::jsonb
    || case when p_data ? 'package' and not exists (
        select from public.bookings
        where id = app.to_booking_key(p_data ->> 'booking_id') and package_id is not null
      ) and not exists (
        select from public.packages where title = p_data ->> 'package'
      ) then '{"package": null}' else '{}' end::jsonb;
$$;
comment on function app.without_strangers_words is
  'What a template prints, less what a stranger may have typed: the template says something general in its place.';

-- Every mail counts, to whomever: so a question that is asked by an address takes as long for a known one. What staff does
-- and what they are told does not; else the one would be lost to a stranger's flood, and the other have to wait for it.
create or replace function app.tg_email_outbox__guard_address()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_is_proven boolean := app.is_proven_address(new.recipient);
  -- What strangers book for a customer neither floods them nor is lost because the customer was told much else.
  v_is_strangers boolean := v_is_proven and new.data ? 'is_by_stranger';
begin
  new.data := new.data - 'is_by_stranger';
  if not v_is_proven then
    new.data := app.without_strangers_words(new.data);
  end if;
  if new.state = 'queued' and new.template not like 'staff-%' and app.actor() ->> 'id' is null
    and (tg_op = 'INSERT' or lower(new.recipient) is distinct from lower(old.recipient))
    and not app.is_within_rate_limit(
      case when v_is_strangers then 'strangers_mail' else 'mail' end, new.recipient,
      (select jsonb_agg(to_jsonb(l)) from app.mail_limits l)
    )
    and (v_is_strangers or not v_is_proven) then
    new.state := 'dropped';
    new.data := '{}';
    new.finished_at := now();
    new.last_error := 'As many mails as strangers may cause have gone to this address.';
  end if;
  return new;
end $$;
comment on function app.tg_email_outbox__guard_address is
  'Bounds what strangers cause to be sent to an address, and takes their words out of it where nobody has proven it.';

create or replace trigger tg_email_outbox__guard_address before insert or update of recipient on public.email_outbox
  for each row execute function app.tg_email_outbox__guard_address();

-- The contact that is given while paying for a booking without one.
alter table public.transactions
  drop constraint if exists transactions_contact_check,
  add constraint transactions_contact_check check (not app.holds_web_address(metadata #>> '{contact,name}'));
comment on constraint transactions_contact_check on public.transactions is 'name: May not hold a web address.';

-- Mails about bookings, queued where the thing happens, whoever did it and by whichever door.

-- What a booking's mail says, and how much of it: of two that wait, the one that says more is sent, with the facts of both.
create or replace function app.booking_mail_rank(p_template text)
returns integer language sql immutable set search_path = '' as $$
  select array_position(array['booking-received', 'payment-receipt', 'booking-confirmed', 'booking-cancelled'], p_template);
$$;
comment on function app.booking_mail_rank is 'How much a mail about a booking says; null for one that is sent by itself.';

create or replace function app.mail_contact(p_booking public.bookings, p_transaction_id uuid, out email text, out name text)
language sql stable set search_path = '' as $$
  select case when is_given then given ->> 'email' when p_booking.email not like '%.invalid' then p_booking.email end,
    case when is_given then given ->> 'name' else p_booking.name end
  from (select btrim(p_booking.email) = '' as is_given,
    (select metadata -> 'contact' from public.transactions where id = p_transaction_id) as given) payment;
$$;
comment on function app.mail_contact is
  'Whom a mail about a booking goes to: its own address, else the one given while paying; null without both, and for who is '
  'deleted.';

create or replace function app.queue_booking_mail(
  p_booking_id public.booking_key, p_template text, p_facts jsonb default '{}'
) returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
  v_contact record;
  v_currency text;
  v_waiting public.email_outbox;
  v_data jsonb;
begin
  select * into v_booking from public.bookings where id = p_booking_id;
  v_contact := app.mail_contact(v_booking, (p_facts ->> 'transaction_id')::uuid);
  if v_contact.email is null then
    return null;
  end if;
  v_currency := app.booking_currency(v_booking.currency);
  v_data := p_facts || jsonb_build_object(
    'name', v_contact.name, 'booking_id', v_booking.id, 'package', v_booking.package, 'travel_date', v_booking.travel_date,
    'return_date', v_booking.return_date, 'guests', v_booking.number_of_guests,
    'price', app.to_minor_units(v_booking.amount, v_currency), 'is_paid', v_booking.payment_status = 'Paid',
    'currency', v_currency, 'exponent', (app.currency(v_currency)).exponent
  );
  -- A receipt is not lost in the news that the trip was cancelled.
  select * into v_waiting from public.email_outbox
  where booking_id = p_booking_id and state = 'queued' and attempts = 0 and app.booking_mail_rank(template) is not null
    and array[template, p_template] not in (
      array['payment-receipt', 'booking-cancelled'], array['booking-cancelled', 'payment-receipt']
    )
  order by created_at desc limit 1 for update;
  if v_waiting.id is null or app.booking_mail_rank(p_template) is null then
    return app.queue_email(p_template, v_contact.email, v_data, p_booking_id => p_booking_id);
  end if;
  update public.email_outbox
  set data = data || v_data, recipient = v_contact.email,
    template = case
      when p_template in ('booking-confirmed', 'booking-cancelled')
        or app.booking_mail_rank(p_template) > app.booking_mail_rank(template) then p_template
      else template
    end
  where id = v_waiting.id;
  return v_waiting.id;
end $$;
comment on function app.queue_booking_mail is
  'Queue a mail to the address of a booking, or add what it says to one that waits; p_facts are beside the booking''s own. Its '
  'id, or null where the booking has no address.';

-- Definer: visitors and staff do not see the outbox.
create or replace function app.tg_bookings__queue_mail()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  -- Who books under an address that is not proven to be theirs, nor is staff, may be anybody.
  v_is_by_stranger boolean := tg_op = 'INSERT' and app.actor() ->> 'id' is null
    and (coalesce(new.customer_id, app.visiting_customer()) = app.find_verified_customer(new.email)) is not true;
begin
  perform app.queue_booking_mail(
    new.id, case new.status
      when 'Pending' then 'booking-received' when 'Confirmed' then 'booking-confirmed' when 'Cancelled' then 'booking-cancelled'
    end,
    case when v_is_by_stranger then '{"is_by_stranger": true}'::jsonb else '{}' end
  );
  return null;
end $$;
comment on function app.tg_bookings__queue_mail is 'Tells the payer that the booking was received, confirmed or cancelled.';

create or replace trigger tg_bookings__queue_mail_received after insert on public.bookings
  for each row when (new.status in ('Pending', 'Confirmed')) execute function app.tg_bookings__queue_mail();
create or replace trigger tg_bookings__queue_mail_changed after update of status on public.bookings
  for each row when (old.status <> new.status and new.status in ('Confirmed', 'Cancelled'))
  execute function app.tg_bookings__queue_mail();

-- The site's staff pages ask for a mail by writing a row. The words of its subject tell the occasion; the address and the
-- text are ours. What the change of status has just told is not told again; a mail that failed is tried anew.
-- Definer: staff do not see the outbox.
create or replace function app.tg_email_history__queue()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_booking_id public.booking_key := case new.related_to when 'booking' then app.to_booking_key(new.related_id::text) end;
  v_template text;
  v_booking public.bookings;
begin
  select * into v_booking from public.bookings where id = v_booking_id;
  v_template := case
    when new.email_type = 'booking_confirmation' and v_booking.status = 'Confirmed' then 'booking-confirmed'
    when new.email_type = 'booking_confirmation' then 'booking-received'
    when new.subject ~ '^Booking Confirmed' then 'booking-confirmed'
    when new.subject ~ '^Booking Cancelled' then 'booking-cancelled'
    when new.subject ~ '^Booking Reminder' then 'booking-reminder'
  end;
  new.status := 'failed';
  if v_booking.id is null or v_template is null then
    new.error_message := 'Only mails about a booking of ours are sent: received, confirmed, cancelled, reminder.';
    return new;
  end if;
  new.recipient_email := v_booking.email;
  if v_booking.status <> all (case v_template
    when 'booking-received' then array['Pending'] when 'booking-confirmed' then array['Confirmed']
    when 'booking-cancelled' then array['Cancelled'] else array['Pending', 'Confirmed']
  end) then
    new.error_message := format('The booking is %s.', v_booking.status);
    return new;
  end if;
  select id into new.outbox_id from public.email_outbox
  where booking_id = v_booking.id and template = v_template and created_at > now() - interval '10 minutes'
    and state in ('queued', 'sending', 'sent')
  order by created_at desc limit 1;
  new.outbox_id := coalesce(new.outbox_id, app.queue_booking_mail(v_booking.id, v_template));
  select app.history_status(m.state), case when m.state = 'sent' then m.finished_at end,
    case when m.state in ('dropped', 'dead') then m.last_error end
  into new.status, new.sent_at, new.error_message
  from public.email_outbox m where m.id = new.outbox_id;
  if not found then
    new.status := 'failed';
    new.error_message := 'The booking has no e-mail address.';
  end if;
  return new;
end $$;
comment on function app.tg_email_history__queue is 'Queues our own mail for the booking that the row names, once, and says how it goes.';

create or replace trigger tg_email_history__queue before insert on public.email_history
  for each row execute function app.tg_email_history__queue();

insert into app.migrations (version) values ('20251026000002') on conflict do nothing;
notify pgrst, 'reload schema';
