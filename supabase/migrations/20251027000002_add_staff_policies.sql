-- Purpose: what staff may do straight through PostgREST. The site's admin pages read and write tables; this service passes
--   their requests on with a short-lived token for role staff that carries the permissions as claims.
-- Roles: staff (granted to authenticator). Claims: {"role": "staff", "sub": staff id, "email", "sid": session,
--   "permissions": ["bookings_view", …]}.
-- Tables: policies and grants on bookings, packages, itineraries, destinations, gallery, testimonials, faqs, blog_posts,
--   support_tickets, ticket_messages, site_settings, admin_users, email_history.
-- Functions: staff_can, tg_guard_staff_columns, tg_bookings__note_payment.
-- SECURITY DEFINER functions: staff_can, because it looks at the session, and staff may not see sessions;
--   tg_bookings__note_payment, because it writes transactions, which staff may not.
-- Roll back: supabase/rollbacks/20251027000002_add_staff_policies.sql

do $$
begin
  if not exists (select from pg_roles where rolname = 'staff') then
    create role staff nologin noinherit;
  end if;
end $$;
grant staff to authenticator;
grant usage on schema public to staff;

-- Stable, so that a policy asks once per statement: `(select staff_can('…'))` becomes an InitPlan.
create or replace function public.staff_can(p_permission text)
returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
begin
  if v_claims ? 'sid' and not exists (
    select from public.staff_sessions s
    join public.admin_users a on a.id = s.staff_id
    where s.id = (v_claims ->> 'sid')::uuid and s.staff_id::text = v_claims ->> 'sub'
      and s.expires_at > now() and a.status = 'Active'
  ) then
    raise sqlstate 'PT401' using message = 'Your session has ended. Please log in again.', hint = 'session_ended';
  end if;
  return coalesce(v_claims ->> 'role' = 'staff' and v_claims -> 'permissions' ? p_permission, false);
end $$;
comment on function public.staff_can is
  'Whether the token of this request is one for staff with that permission. PT401 when its session has ended.';
revoke all on function public.staff_can from public, anon, authenticated;
grant execute on function public.staff_can to staff;

-- Settings with secrets are for /api/settings alone, which masks them; the policies below ask this.
grant execute on function public.holds_secret, public.mask_secrets, public.is_secret_name to staff;

-- Row-level security says who may change a row; some columns of it take more than that. The argument maps columns to the
-- permission that changing them takes, "*" to the one for all others; no staff has the permission "nobody".
create or replace function public.tg_guard_staff_columns() returns trigger
language plpgsql security invoker set search_path = ''
as $$
declare
  v_rules jsonb := tg_argv[0];
  v_before jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else tg_argv[1]::jsonb end;
  v_permission text;
begin
  for v_permission in
    select distinct coalesce(v_rules ->> c.key, case when tg_op = 'UPDATE' then v_rules ->> '*' end)
    from jsonb_each(to_jsonb(new)) c
    where c.value is distinct from coalesce(v_before -> c.key, 'null')
  loop
    if v_permission is not null and not public.staff_can(v_permission) then
      raise sqlstate 'PT403' using message = 'Insufficient permissions. Required: ' || v_permission,
        hint = 'insufficient_permissions';
    end if;
  end loop;
  return new;
end $$;
comment on function public.tg_guard_staff_columns is
  'Refuses changes of columns that take a permission of their own. Arguments: {column: permission}, values of a new row.';
revoke all on function public.tg_guard_staff_columns from public, anon, authenticated;

drop trigger if exists bookings_guard_staff on public.bookings;
create trigger bookings_guard_staff before insert or update on public.bookings
  for each row when (current_user = 'staff') execute function public.tg_guard_staff_columns(
    '{"payment_status": "bookings_update_payment", "assigned_to": "bookings_reassign", "customer_id": "nobody",
      "payment_id": "nobody", "payment_method": "nobody", "payment_date": "nobody", "invoice_id": "nobody",
      "invoice_url": "nobody"}',
    '{"payment_status": "Pending"}'
  );

-- A payment status written by staff's pages goes the way of one set through the API, with its transaction and audit row.
create or replace function public.tg_bookings__note_payment() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.bookings
  set payment_status = case when tg_op = 'UPDATE' then old.payment_status else 'Pending' end
  where id = new.id;
  perform public.set_booking_payment_status(
    new.id::text, new.payment_status, null, public.current_actor() ->> 'email', 'Set by staff'
  );
  return null;
end $$;
comment on function public.tg_bookings__note_payment is
  'Turns a payment status that staff wrote into the table into a payment noted by hand.';
revoke all on function public.tg_bookings__note_payment from public, anon, authenticated;

drop trigger if exists bookings_note_payment_insert on public.bookings;
create trigger bookings_note_payment_insert after insert on public.bookings
  for each row when (current_user = 'staff' and new.payment_status <> 'Pending')
  execute function public.tg_bookings__note_payment();
drop trigger if exists bookings_note_payment_update on public.bookings;
create trigger bookings_note_payment_update after update on public.bookings
  for each row when (current_user = 'staff' and new.payment_status is distinct from old.payment_status)
  execute function public.tg_bookings__note_payment();

drop trigger if exists support_tickets_guard_staff on public.support_tickets;
create trigger support_tickets_guard_staff before insert or update on public.support_tickets
  for each row when (current_user = 'staff')
  execute function public.tg_guard_staff_columns('{"assigned_to": "tickets_assign"}', '{}');
drop trigger if exists testimonials_guard_staff on public.testimonials;
create trigger testimonials_guard_staff before insert or update on public.testimonials
  for each row when (current_user = 'staff') execute function public.tg_guard_staff_columns(
    '{"status": "testimonials_approve", "*": "testimonials_edit"}', '{"status": "pending"}'
  );

-- One policy per table and verb: {table: [select, insert, update, delete]}, each the permissions that all are needed, or,
-- with "|" between, of which one is. What visitors may read, staff may read.
do $$
declare
  v_rules jsonb := '{
    "bookings": ["bookings_view", "bookings_create", "bookings_edit", "bookings_delete"],
    "packages": ["", "packages_create", "packages_edit", "packages_delete"],
    "itineraries": ["", "packages_create|packages_edit", "packages_edit", "packages_edit|packages_delete"],
    "destinations": ["", "destinations_create", "destinations_edit", "destinations_delete"],
    "gallery": ["", "gallery_create", "gallery_edit", "gallery_delete"],
    "testimonials": ["testimonials_view", "testimonials_create", "testimonials_edit|testimonials_approve", "testimonials_delete"],
    "faqs": ["faq_view", "faq_create", "faq_edit", "faq_delete"],
    "blog_posts": ["blog_view", "blog_create", "blog_edit", "blog_delete"],
    "support_tickets": ["tickets_view", "tickets_create", "tickets_edit", "tickets_delete"],
    "ticket_messages": ["tickets_view", "tickets_create|tickets_edit", "tickets_edit", "tickets_delete"],
    "site_settings": ["settings_view", "settings_edit", "settings_edit", "settings_edit"],
    "admin_users": ["users_view", "users_create&users_change_role", "users_edit&users_change_role", "users_delete"],
    "email_history": ["bookings_view", "bookings_send_reminder", "nobody", "nobody"]
  }';
  v_verbs text[] := array['select', 'insert', 'update', 'delete'];
  v_table text;
  v_verb text;
  v_needed text;
  v_condition text;
  v_sequence text;
begin
  for v_table in select jsonb_object_keys(v_rules) loop
    execute format('revoke all on public.%I from staff', v_table);
    for i in 1 .. 4 loop
      v_verb := v_verbs[i];
      v_needed := v_rules -> v_table ->> (i - 1);
      execute format('drop policy if exists %I on public.%I', v_table || '_' || v_verb || '_staff', v_table);
      continue when v_needed = 'nobody';
      v_condition := case
        when v_needed = '' then 'true'
        when v_needed ~ '\|' then
          (select string_agg(format('(select public.staff_can(%L))', p), ' or ') from regexp_split_to_table(v_needed, '\|') p)
        else (select string_agg(format('(select public.staff_can(%L))', p), ' and ') from regexp_split_to_table(v_needed, '&') p)
      end;
      if v_table = 'site_settings' then
        v_condition := v_condition || ' and not public.holds_secret(key, value)';
        -- What the site's pages need works for staff without settings_view as it does for a visitor.
        if v_verb = 'select' then
          v_condition := v_condition || ' or key in (''general_settings'', ''social_links'', ''hero_slides'','
            ' ''display_settings'', ''seo_settings'', ''ui_preferences'')';
        end if;
      end if;
      execute format(
        'create policy %I on public.%I for %s to staff %s', v_table || '_' || v_verb || '_staff', v_table, v_verb,
        case v_verb
          when 'insert' then format('with check (%s)', v_condition)
          when 'update' then format('using (%s) with check (%s)', v_condition, v_condition)
          else format('using (%s)', v_condition)
        end
      );
      execute format('grant %s on public.%I to staff', v_verb, v_table);
    end loop;
    select pg_get_serial_sequence('public.' || v_table, attname) into v_sequence
    from pg_attribute where attrelid = ('public.' || v_table)::regclass and attname = 'id';
    if v_sequence is not null then
      execute format('grant usage on sequence %s to staff', v_sequence);
    end if;
  end loop;
end $$;

notify pgrst, 'reload schema';
