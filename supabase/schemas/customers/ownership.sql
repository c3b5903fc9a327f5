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
