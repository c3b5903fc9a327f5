-- How often a password may be guessed: one rule, for customers and for staff.

-- Each account has one allowance for the world, and one for each address (IP) from which it logged in or set its password
-- within 30 days: so guesses from everywhere end, and whoever makes them does not lock out whom they guess at. A new
-- password counts, as by its link somebody who is locked out gets in from a place where they never were.
create or replace function app.login_subject(p_kind text, p_email text)
returns text language sql stable set search_path = '' as $$
  select p_email || case when exists (
    select 1 from public.customers c
    join public.customer_events e on e.customer_id = c.id
    where p_kind = 'customer' and lower(c.email) = lower(p_email) and c.deleted_at is null
      and e.name in ('logged_in', 'password_reset', 'password_changed')
      and e.ip_address = app.actor() ->> 'ip' and e.created_at > now() - interval '30 days'
    union all
    select 1 from public.admin_users a
    join public.staff_events e on e.staff_id = a.id
    where p_kind = 'staff' and lower(a.email) = lower(p_email)
      and e.name in ('logged_in', 'password_changed')
      and e.ip_address = app.actor() ->> 'ip' and e.created_at > now() - interval '30 days'
  ) then ' from ' || (app.actor() ->> 'ip') else '' end;
$$;
comment on function app.login_subject is 'Whose attempts a login of that kind of account (customer, staff) counts among.';

create or replace function app.take_login(p_kind text, p_email text, p_limits jsonb)
returns void language sql volatile set search_path = '' as $$
  select app.take_rate_limit(p_kind || '_login', app.login_subject(p_kind, p_email), p_limits);
$$;
comment on function app.take_login is 'Count an attempt to log in to an account, known or not; PT429 when there were too many.';

create or replace function app.clear_logins(p_kind text, p_email text)
returns void language sql volatile set search_path = '' as $$
  select app.clear_rate_limit(p_kind || '_login', app.login_subject(p_kind, p_email));
$$;
comment on function app.clear_logins is 'Forget the attempts that this one counts among: it proved to be the right person.';
