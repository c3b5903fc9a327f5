-- How long is kept what nobody asks for any more. The worker sweeps once an hour (service/scheduled_jobs.py); mails have a
-- sweep of their own, in mail/queue.sql, payment events theirs in payments/reconciliation.sql.

-- Nobody's are attempts on an address that no account has, and what is left of a deleted account. An attempt takes no
-- account to make, so of those there is also a greatest number.
-- Definer: the service itself may not delete what is noted.
create or replace function app.purge_events(p_nobodys_at_most integer)
returns integer language plpgsql volatile security definer set search_path = '' as $$
declare
  v_kept constant interval := interval '2 years';
  v_nobodys_kept constant interval := interval '30 days';
  v_purged integer;
  v_sum integer := 0;
begin
  perform set_config('app.purges', 'customer_events', true);
  delete from public.customer_events where created_at < now() - v_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.customer_events e using public.customers c
  where c.deleted_at is not null and e.customer_id = c.id and e.created_at < now() - v_nobodys_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.customer_events
  where customer_id is null and (created_at < now() - v_nobodys_kept or id <= (
    select id from public.customer_events where customer_id is null order by id desc offset p_nobodys_at_most limit 1
  ));
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  perform set_config('app.purges', 'staff_events', true);
  delete from public.staff_events where created_at < now() - v_kept;
  get diagnostics v_purged = row_count;
  v_sum := v_sum + v_purged;
  delete from public.staff_events
  where staff_id is null and (created_at < now() - v_nobodys_kept or id <= (
    select id from public.staff_events where staff_id is null order by id desc offset p_nobodys_at_most limit 1
  ));
  get diagnostics v_purged = row_count;
  perform set_config('app.purges', '', true);
  return v_sum + v_purged;
end $$;
comment on function app.purge_events is
  'Delete what was noted of accounts two years ago, of nobody 30 days ago or before its latest p_nobodys_at_most; how many.';

-- Registering takes no account either. One whose address nobody proved within 30 days goes, unless it is signed in, has a
-- link that still works, or has booked. A deleted account's emptied row stays for as long as something refers to it.
create or replace function app.purge_accounts()
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_customer record;
  v_purged integer;
begin
  for v_customer in
    select c.id, c.email from public.customers c
    where c.deleted_at is null and c.verified_at is null and c.status = 'pending'
      and c.created_at < now() - interval '30 days'
      and not exists (select from public.customer_sessions s where s.customer_id = c.id and s.expires_at > now())
      and not exists (select from public.email_verification_tokens t where t.customer_id = c.id and t.expires_at > now())
      and not exists (select from public.bookings b where b.customer_id = c.id)
    order by c.created_at
    limit 500
  loop
    perform app.act_as('worker', 'never verified');
    perform app.lock_address(v_customer.email);
    perform public.delete_customer(c.id, c.password_hash) from (
      select id, password_hash from public.customers
      where id = v_customer.id and deleted_at is null and verified_at is null for no key update
    ) c;
  end loop;
  delete from public.customers c
  where c.deleted_at < now() - interval '30 days'
    and not exists (select from public.customer_events e where e.customer_id = c.id)
    and not exists (select from public.bookings b where b.customer_id = c.id)
    and not exists (select from public.transactions t where t.customer_id = c.id);
  get diagnostics v_purged = row_count;
  return v_purged;
end $$;
comment on function app.purge_accounts is
  'Delete accounts that were never verified, and the rows of deleted ones to which nothing refers; how many rows went.';

create or replace function public.clean_expired()
returns integer language plpgsql volatile set search_path = '' as $$
declare
  v_sessions integer;
  v_staff_sessions integer;
  v_verifications integer;
  v_resets integer;
  v_invitations integer;
  v_limits integer;
begin
  delete from public.customer_sessions where expires_at <= now();
  get diagnostics v_sessions = row_count;
  delete from public.staff_sessions where expires_at <= now();
  get diagnostics v_staff_sessions = row_count;
  -- Kept for a while, so that an old link is told from a wrong one.
  delete from public.email_verification_tokens where expires_at < now() - interval '30 days';
  get diagnostics v_verifications = row_count;
  delete from public.password_reset_tokens where expires_at < now() - interval '30 days';
  get diagnostics v_resets = row_count;
  delete from public.staff_invitations where expires_at < now() - interval '30 days';
  get diagnostics v_invitations = row_count;
  delete from public.rate_limits where expires_at <= now();
  get diagnostics v_limits = row_count;
  return v_sessions + v_staff_sessions + v_verifications + v_resets + v_invitations + v_limits
    + app.purge_events(100000) + app.purge_accounts();
end $$;
comment on function public.clean_expired is
  'The worker''s sweep of customers and staff: sessions, links, limits, events and accounts past their time; how many rows.';
