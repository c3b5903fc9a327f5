-- Making an account and proving its address.

create or replace function public.register_customer(
  p_email text,
  p_password_hash text,
  p_name text,
  p_phone text,
  p_session_seconds integer
) returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  insert into public.customers (email, password_hash, name, phone)
  values (p_email, p_password_hash, p_name, p_phone)
  on conflict (lower(email)) where deleted_at is null do nothing
  returning id into v_id;
  if v_id is null then
    raise sqlstate 'PT409' using message = 'Email already registered', hint = 'email_taken';
  end if;
  insert into public.customer_preferences (customer_id) values (v_id);
  perform app.queue_email('email-verification', p_email, '{}', p_customer_id => v_id);
  perform app.record_customer_event(v_id, 'registered');
  return jsonb_build_object(
    'customer_id', v_id, 'session_id', app.start_customer_session(v_id, p_session_seconds)
  );
end $$;
comment on function public.register_customer is
  'A new account with its verification mail, audit row and first session: {customer_id, session_id}. PT409 email_taken.';

-- A mail to nobody is written like one to somebody and taken back before anybody can see it. It counts for no address that
-- there is, as none gets it.
create or replace function app.queue_requested_mail(p_template text, p_email text, p_customer public.customers)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_email_id uuid := app.queue_email(
    p_template, coalesce(p_customer.email, overlay(p_email placing '*' from 1 for 1)), jsonb_build_object('name', p_customer.name),
    p_customer_id => p_customer.id
  );
begin
  if p_customer.id is null then
    delete from public.email_outbox where id = v_email_id;
  end if;
end $$;
comment on function app.queue_requested_mail is
  'Queue a mail that somebody asked for by an address, where a customer has it; the work is the same where nobody has.';

-- Says nothing about whether the address is known, by its time neither: the limit counts for any.
create or replace function public.request_verification_mail(p_email text, p_limits jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.take_rate_limit('verification_mail', p_email, p_limits);
  select * into v_customer from public.customers
  where lower(email) = lower(p_email) and deleted_at is null and verified_at is null and status = 'pending';
  perform app.queue_requested_mail('email-verification', p_email, v_customer);
  perform app.record_customer_event(v_customer.id, 'verification_resent');
end $$;
comment on function public.request_verification_mail is
  'Queue another verification mail where the address waits for one. PT429.';

-- Called by the worker right before it sends, so that no link is ever at rest. A mail that is tried twice carries two
-- links, and both work until one is used, as nobody knows which of them arrived.
create or replace function public.issue_email_token(p_email_id uuid, p_token_hash text, p_ttl_seconds integer)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_email public.email_outbox;
  v_customer public.customers;
  v_expires_at timestamptz := now() + make_interval(secs => p_ttl_seconds);
begin
  select * into v_email from public.email_outbox where id = p_email_id;
  select * into v_customer from public.customers
  where id = v_email.customer_id and deleted_at is null for no key update;
  if v_customer.id is null or exists (
    select from public.email_outbox newer
    where newer.customer_id = v_customer.id and newer.template = v_email.template
      and newer.created_at > v_email.created_at and newer.state <> 'dead'
  ) then
    return null;
  end if;
  if v_email.template = 'email-verification' and v_customer.verified_at is null then
    update public.email_verification_tokens set superseded_at = now()
    where customer_id = v_customer.id and email_id <> p_email_id and superseded_at is null and used_at is null;
    insert into public.email_verification_tokens (customer_id, email_id, token_hash, expires_at)
    values (v_customer.id, p_email_id, p_token_hash, v_expires_at);
  elsif v_email.template = 'password-reset' and v_email.created_at >= v_customer.password_changed_at then
    update public.password_reset_tokens set superseded_at = now()
    where customer_id = v_customer.id and email_id <> p_email_id and superseded_at is null and used_at is null;
    insert into public.password_reset_tokens (customer_id, email_id, token_hash, expires_at)
    values (v_customer.id, p_email_id, p_token_hash, v_expires_at);
  else
    return null;
  end if;
  return jsonb_build_object('customer_id', v_customer.id);
end $$;
comment on function public.issue_email_token is
  'Store the hash of a link that is about to be mailed; older mails'' links of the kind end. {customer_id}, or null when the '
  'mail has lost its purpose: verified, deleted, password changed, a newer mail is there.';

create or replace function app.check_link(
  p_expires_at timestamptz, p_used_at timestamptz, p_superseded_at timestamptz
) returns void language plpgsql stable set search_path = '' as $$
begin
  if p_expires_at is null or p_used_at is not null then
    raise sqlstate 'PT400' using message = 'This link is not valid.', hint = 'token_invalid';
  elsif p_superseded_at is not null then
    raise sqlstate 'PT400' using message = 'A newer link was sent to you. Please use that one.', hint = 'token_superseded';
  elsif p_expires_at <= now() then
    raise sqlstate 'PT400' using message = 'This link has expired. Please ask for a new one.', hint = 'token_expired';
  end if;
end $$;
comment on function app.check_link is 'PT400 unless the link of a mail may be used; p_expires_at is null for none.';

-- The address is proven. Whether also its owner is: then what was booked as guest with it becomes theirs, never earlier.
create or replace function app.mark_customer_verified(p_customer_id uuid, p_is_owner boolean)
returns void language plpgsql volatile set search_path = '' as $$
begin
  update public.customers
  set verified_at = now(), status = case when status = 'pending' then 'active' else status end
  where id = p_customer_id and verified_at is null;
  perform app.prove_owner(id) from public.customers
  where id = p_customer_id and (p_is_owner or owner_proven_at is not null);
end $$;
comment on function app.mark_customer_verified is
  'Note that the address is proven; with p_is_owner, or after a password by a mailed link, its owner is as well.';

-- An account that waits for its link has no other session than that of the browser which registered. Who comes with it has
-- chosen the password; who comes without may have got the link for an account that somebody else made.
create or replace function public.verify_email(p_customer_id uuid, p_token_hash text, p_session_id uuid default null)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_verified_at timestamptz;
  v_token public.email_verification_tokens;
  v_is_registrant boolean := exists (
    select from public.customer_sessions
    where id = p_session_id and customer_id = p_customer_id and expires_at > now()
  );
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  select verified_at into v_verified_at from public.customers
  where id = p_customer_id and deleted_at is null for no key update;
  select * into v_token from public.email_verification_tokens
  where token_hash = p_token_hash and customer_id = p_customer_id;
  if v_verified_at is not null and v_token.used_at is not null then
    return jsonb_build_object('is_first', false);
  end if;
  perform app.check_link(v_token.expires_at, v_token.used_at, v_token.superseded_at);
  update public.email_verification_tokens set used_at = now()
  where customer_id = p_customer_id and used_at is null and superseded_at is null;
  perform app.mark_customer_verified(p_customer_id, v_is_registrant);
  delete from public.customer_sessions where customer_id = p_customer_id and id is distinct from p_session_id;
  perform app.record_customer_event(
    p_customer_id, 'verified', p_details => jsonb_build_object('by_registrant', v_is_registrant)
  );
  return jsonb_build_object('is_first', true, 'customer', app.customer_json(p_customer_id));
end $$;
comment on function public.verify_email is
  'Spend a verification link: {is_first: true, customer}; {is_first: false} for the link that verified already. All sessions '
  'end but p_session_id; where that is the one that registered, earlier guest bookings are handed over. PT400.';

create or replace function public.verify_customer_by_hand(p_email text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  perform app.lock_address(p_email);
  select id into v_id from public.customers
  where lower(email) = lower(p_email) and deleted_at is null for no key update;
  if v_id is null then
    raise sqlstate 'PT404' using message = 'Customer not found', hint = 'customer_not_found';
  end if;
  perform app.mark_customer_verified(v_id, true);
  perform app.record_customer_event(v_id, 'verified');
  return app.customer_json(v_id);
end $$;
comment on function public.verify_customer_by_hand is
  'Staff mark an address as proven, where no mail can be sent. PT404.';
