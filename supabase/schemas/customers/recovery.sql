-- Passwords that are forgotten or changed, accounts that are closed by staff or deleted by their owner.

-- Says nothing about whether the address is known, like request_verification_mail.
create or replace function public.request_password_reset(p_email text, p_limits jsonb)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.take_rate_limit('reset_mail', p_email, p_limits);
  select * into v_customer from public.customers where lower(email) = lower(p_email) and deleted_at is null;
  perform app.queue_requested_mail('password-reset', p_email, v_customer);
  perform app.record_customer_event(v_customer.id, 'password_reset_requested');
end $$;
comment on function public.request_password_reset is
  'Queue a mail with a link to set a new password, for an account''s address. PT429.';

-- What a new password brings about, whichever way it came: all links die, the owner is told.
create or replace function app.set_customer_password(p_customer_id uuid, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  update public.customers set password_hash = p_password_hash, password_changed_at = now()
  where id = p_customer_id
  returning * into v_customer;
  update public.password_reset_tokens set used_at = now() where customer_id = p_customer_id and used_at is null;
  perform app.clear_logins('customer', v_customer.email);
  perform app.queue_email(
    'password-changed', v_customer.email, jsonb_build_object('name', v_customer.name, 'occurred_at', now()),
    p_customer_id => p_customer_id
  );
end $$;
comment on function app.set_customer_password is
  'Store a new hash, end all reset links, queue the notice. Callers end sessions.';

create or replace function public.reset_password(
  p_customer_id uuid, p_token_hash text, p_password_hash text
) returns void language plpgsql volatile set search_path = '' as $$
declare
  v_token public.password_reset_tokens;
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  perform from public.customers where id = p_customer_id and deleted_at is null for no key update;
  select * into v_token from public.password_reset_tokens
  where token_hash = p_token_hash and customer_id = p_customer_id;
  perform app.check_link(v_token.expires_at, v_token.used_at, v_token.superseded_at);
  perform app.set_customer_password(p_customer_id, p_password_hash);
  delete from public.customer_sessions where customer_id = p_customer_id;
  perform app.prove_owner(p_customer_id);
  perform app.record_customer_event(p_customer_id, 'password_reset');
end $$;
comment on function public.reset_password is
  'Spend a reset link: the new hash is set, all sessions and links end, the notice is queued; who reads the mail has the '
  'password now, so that earlier guest bookings are theirs. PT400.';

-- p_old_hash is the one that the service compared: of two changes at once one finds that it is no longer the current. It hands
-- no earlier bookings over: whoever registered with somebody's address knows the old password.
create or replace function public.change_password(
  p_customer_id uuid, p_session_id uuid, p_old_hash text, p_new_hash text
) returns void language plpgsql volatile set search_path = '' as $$
begin
  perform from public.customers
  where id = p_customer_id and deleted_at is null and password_hash = p_old_hash for no key update;
  if not found then
    raise sqlstate 'PT401' using message = 'Current password is incorrect', hint = 'invalid_password';
  end if;
  perform app.set_customer_password(p_customer_id, p_new_hash);
  delete from public.customer_sessions where customer_id = p_customer_id and id <> p_session_id;
  perform app.record_customer_event(p_customer_id, 'password_changed');
end $$;
comment on function public.change_password is
  'Set a new hash, keep this session and end the others, queue the notice. PT401 when p_old_hash is not the current one.';

create or replace function public.set_customer_status(p_email text, p_is_suspended boolean)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_id uuid;
begin
  update public.customers
  set status = case when p_is_suspended then 'suspended' when verified_at is null then 'pending' else 'active' end
  where lower(email) = lower(p_email) and deleted_at is null
  returning id into v_id;
  if v_id is null then
    raise sqlstate 'PT404' using message = 'Customer not found', hint = 'customer_not_found';
  end if;
  if p_is_suspended then
    delete from public.customer_sessions where customer_id = v_id;
  end if;
  perform app.record_customer_event(v_id, case when p_is_suspended then 'suspended' else 'reactivated' end);
  return app.customer_json(v_id);
end $$;
comment on function public.set_customer_status is
  'Staff suspend an account, which ends its sessions, or open it again. PT404.';

-- The person goes, the money stays. What an unproven address merely claims to be its own is left alone. Bookings are
-- locked first because payments lock a booking before its customer.
create or replace function public.delete_customer(p_customer_id uuid, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_proven text;
  v_bookings text[];
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  v_proven := app.proven_address(p_customer_id);
  v_bookings := array(
    select id::text from public.bookings
    where customer_id = p_customer_id or (customer_id is null and lower(email) = v_proven) for update
  );
  update public.customers
  set email = null, password_hash = null, name = null, phone = null, avatar = null, address = null,
    status = 'inactive', deleted_at = now()
  where id = p_customer_id and deleted_at is null and password_hash = p_password_hash;
  if not found then
    raise sqlstate 'PT401' using message = 'Invalid password', hint = 'invalid_password';
  end if;
  update public.bookings
  set name = 'Deleted customer', email = 'deleted@example.invalid', phone = '', message = '', special_requests = '',
    notes = ''
  where id::text = any (v_bookings);
  update public.transactions set metadata = metadata - 'contact'
  where metadata ? 'contact' and (customer_id = p_customer_id or lower(metadata #>> '{contact,email}') = v_proven);
  update public.ticket_messages m set name = 'Deleted customer'
  from public.support_tickets t
  where t.id = m.ticket_id and m.from_type = 'customer' and lower(t.email) = v_proven;
  update public.email_history
  set recipient_email = 'deleted@example.invalid', recipient_name = 'Deleted customer', subject = '', body = ''
  where lower(recipient_email) = v_proven or related_to = 'booking' and related_id::text = any (v_bookings);
  update public.support_tickets set customer = 'Deleted customer', email = 'deleted@example.invalid'
  where lower(email) = v_proven;
  delete from public.email_outbox
  where customer_id = p_customer_id or lower(recipient) = v_proven or booking_id::text = any (v_bookings);
  delete from public.customer_sessions where customer_id = p_customer_id;
  delete from public.email_verification_tokens where customer_id = p_customer_id;
  delete from public.password_reset_tokens where customer_id = p_customer_id;
  delete from public.customer_addresses where customer_id = p_customer_id;
  delete from public.customer_preferences where customer_id = p_customer_id;
  perform app.record_customer_event(p_customer_id, 'deleted');
end $$;
comment on function public.delete_customer is
  'Erase the person from the account, its bookings, tickets and mails; payments and audit rows stay, the address is free again. '
  'PT401 when p_password_hash, which the service compared, is not the current one.';

-- An older link does it as well, and one past its time: whoever got the mail may say so for as long as nobody confirmed.
create or replace function public.disown_account(p_customer_id uuid, p_token_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_customer public.customers;
begin
  perform app.lock_address((select email from public.customers where id = p_customer_id));
  select c.* into v_customer from public.customers c
  join public.email_verification_tokens t on t.customer_id = c.id
  where c.id = p_customer_id and t.token_hash = p_token_hash;
  if v_customer.id is null then
    raise sqlstate 'PT400' using message = 'This link is not valid.', hint = 'token_invalid';
  elsif v_customer.verified_at is not null then
    raise sqlstate 'PT409' using hint = 'already_verified',
      message = 'This address is confirmed already. Ask for a new password, which keeps everybody else out.';
  end if;
  perform app.record_customer_event(p_customer_id, 'disowned');
  perform public.delete_customer(p_customer_id, v_customer.password_hash);
end $$;
comment on function public.disown_account is
  'Who got a verification mail never registered: the account goes, while it is unproven. PT400, PT409 already_verified.';
