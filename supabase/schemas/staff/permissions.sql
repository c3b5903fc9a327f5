-- Which role may do what, as in the original's table, and what of it the database asks by itself. The service reads the
-- same rows with the session, at each request.

create table if not exists app.role_permissions (
  role text not null,
  permission text not null,
  primary key (role, permission)
);
comment on table app.role_permissions is 'What each role of staff may do.';
grant select on app.role_permissions to service_role;

delete from app.role_permissions;
insert into app.role_permissions (role, permission)
select 'Admin', resource || '_' || verb
from unnest(array['users', 'bookings', 'destinations', 'packages', 'gallery', 'blog', 'faq', 'testimonials', 'tickets']) resource,
  unnest(array['view', 'create', 'edit', 'delete']) verb
union all
select 'Admin', unnest(array[
  'users_change_role', 'bookings_reassign', 'bookings_update_payment', 'bookings_send_reminder', 'bookings_export',
  'bookings_bulk_actions', 'testimonials_approve', 'tickets_assign', 'settings_view', 'settings_edit', 'reports_view',
  'dashboard_view'
]);
insert into app.role_permissions (role, permission)
select 'Manager', permission from app.role_permissions
where role = 'Admin' and permission not in (
  'users_create', 'users_edit', 'users_delete', 'users_change_role', 'bookings_delete', 'testimonials_create',
  'testimonials_edit', 'testimonials_delete', 'tickets_delete', 'settings_view', 'settings_edit'
);
insert into app.role_permissions (role, permission)
select role, permission
from unnest(array['Guide', 'Support']) role, unnest(array[
  'bookings_view', 'bookings_send_reminder', 'destinations_view', 'packages_view', 'gallery_view', 'blog_view',
  'testimonials_view', 'faq_view', 'dashboard_view'
]) permission
union all
select 'Support', unnest(array['bookings_create', 'bookings_edit', 'tickets_view', 'tickets_create', 'tickets_edit']);

-- Row-level security says who may change a row; these columns of it take more than that.
create table if not exists app.column_permissions (
  table_name text not null,
  column_name text not null,
  permission text,
  unset text,
  primary key (table_name, column_name)
);
comment on table app.column_permissions is
  'Columns that take a permission of their own; * stands for all others of an update.';
comment on column app.column_permissions.permission is 'Null: nobody''s to write by hand.';
comment on column app.column_permissions.unset is 'The value that a new row has when nobody wrote the column.';
grant select on app.column_permissions to service_role;

delete from app.column_permissions;
insert into app.column_permissions (table_name, column_name, permission, unset) values
  ('bookings', 'payment_status', 'bookings_update_payment', 'Pending'),
  ('bookings', 'assigned_to', 'bookings_reassign', ''),
  ('bookings', 'customer_id', null, null),
  ('bookings', 'payment_id', null, null),
  ('bookings', 'payment_method', null, null),
  ('bookings', 'payment_date', null, null),
  ('bookings', 'invoice_id', null, null),
  ('bookings', 'invoice_url', null, null),
  ('support_tickets', 'assigned_to', 'tickets_assign', ''),
  ('testimonials', 'status', 'testimonials_approve', 'pending'),
  ('testimonials', '*', 'testimonials_edit', null);

-- For the policies: stable, so that `(select app.staff_can('…'))` is asked once per statement. Definer: role staff sees
-- no sessions.
create or replace function app.staff_can(p_permission text)
returns boolean language plpgsql stable security definer set search_path = '' as $$
declare
  v_claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  v_role text;
begin
  if v_claims ->> 'role' is distinct from 'staff' then
    return false;
  end if;
  select a.role into v_role
  from public.staff_sessions s
  join public.admin_users a on a.id = s.staff_id
  where s.id = (v_claims ->> 'sid')::uuid and s.staff_id::text = v_claims ->> 'sub'
    and s.expires_at > now() and a.status = 'Active';
  if not found then
    raise sqlstate 'PT401' using message = 'Your session has ended. Please log in again.', hint = 'session_ended';
  end if;
  return exists (select from app.role_permissions p where p.role = v_role and p.permission = p_permission);
end $$;
comment on function app.staff_can is
  'Whether the token of this request is one of staff whose role has the permission. PT401 when its session has ended.';
grant execute on function app.staff_can to staff;

create or replace function app.refuse_staff(p_permission text)
returns void language plpgsql immutable set search_path = '' as $$
begin
  raise sqlstate 'PT403' using hint = 'insufficient_permissions',
    message = coalesce('Insufficient permissions. Required: ' || p_permission, 'This cannot be changed by hand.');
end $$;
comment on function app.refuse_staff is 'PT403 that names the permission; null: no permission is enough.';
grant execute on function app.refuse_staff to staff;

-- Definer: role staff does not read the rules.
create or replace function app.column_rules(p_table text)
returns setof app.column_permissions language sql stable security definer set search_path = '' as $$
  select * from app.column_permissions where table_name = p_table;
$$;
comment on function app.column_rules is 'The columns of a table that take a permission of their own.';
grant execute on function app.column_rules to staff;

create or replace function app.tg_guard_columns()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_rule record;
begin
  for v_rule in
    select distinct coalesce(r.permission, o.permission) as permission
    from jsonb_each(to_jsonb(new)) c
    left join app.column_rules(tg_table_name::text) r on r.column_name = c.key
    left join app.column_rules(tg_table_name::text) o
      on o.column_name = '*' and r.column_name is null and tg_op = 'UPDATE'
    where coalesce(r.column_name, o.column_name) is not null
      and c.value is distinct from
        coalesce(case when tg_op = 'UPDATE' then to_jsonb(old) -> c.key else to_jsonb(r.unset) end, 'null')
  loop
    if v_rule.permission is null or not app.staff_can(v_rule.permission) then
      perform app.refuse_staff(v_rule.permission);
    end if;
  end loop;
  return new;
end $$;
comment on function app.tg_guard_columns is
  'Refuses staff a write of columns that take a permission which theirs is not.';

-- The same for staff who come through the service, which acts with all rights.
create or replace function app.check_columns(p_table text, p_changes jsonb)
returns void language plpgsql stable set search_path = '' as $$
declare
  v_permission text;
begin
  for v_permission in
    select r.permission from app.column_permissions r where r.table_name = p_table and p_changes ? r.column_name
  loop
    if not exists (
      select from app.role_permissions p
      join public.admin_users a on a.role = p.role
      where a.id::text = app.actor() ->> 'id' and p.permission = v_permission
    ) then
      perform app.refuse_staff(v_permission);
    end if;
  end loop;
end $$;
comment on function app.check_columns is
  'PT403 unless the acting member of staff may write the columns that p_changes names.';

-- A policy hides what one may not change, and a change of nothing looks like success: here the statement is refused with
-- the permission that the policy asks for, also where no row would have matched.
create or replace function app.tg_refuse_staff()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_policy text := (
    select coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_catalog.pg_policy p
    where p.polrelid = tg_relid and p.polroles @> array['staff'::regrole::oid]
      and p.polcmd::text = case tg_op when 'INSERT' then 'a' when 'UPDATE' then 'w' else 'd' end
  );
  v_needed text[] := array(select m[1] from regexp_matches(v_policy, $r$app\.staff_can\('(\w+)'$r$, 'g') m);
  v_missing text[] := array(select needed from unnest(v_needed) needed where not app.staff_can(needed));
begin
  if v_policy is null or v_missing = v_needed or v_missing <> '{}' and v_policy not like '% OR %' then
    perform app.refuse_staff(v_missing[1]);
  end if;
  return null;
end $$;
comment on function app.tg_refuse_staff is
  'Refuses a statement of staff whose role lacks what the policy of table and verb asks for.';

-- Accounts as the users page of the site reads and writes them.
create policy admin_users_select_staff on public.admin_users for select to staff
  using ((select app.staff_can('users_view')));
create policy admin_users_insert_staff on public.admin_users for insert to staff
  with check ((select app.staff_can('users_create')) and (select app.staff_can('users_change_role')));
create policy admin_users_update_staff on public.admin_users for update to staff
  using ((select app.staff_can('users_edit')) and (select app.staff_can('users_change_role')));
create policy admin_users_delete_staff on public.admin_users for delete to staff
  using ((select app.staff_can('users_delete')));
grant select, insert, update, delete on public.admin_users to staff;
call app.grant_sequence('public.admin_users', 'service_role', 'staff');
create or replace trigger tg_admin_users__refuse_staff before insert or update or delete on public.admin_users
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();

create or replace function app.alert_staff(
  p_permission text, p_subject text, p_message text, p_dedupe_key text, p_transaction_id uuid default null
) returns void language sql volatile set search_path = '' as $$
  select app.queue_email(
    'staff-alert', a.email,
    jsonb_build_object('subject', p_subject, 'message', p_message, 'transaction_id', p_transaction_id),
    p_dedupe_key || ':' || a.id
  )
  from public.admin_users a
  join app.role_permissions p on p.role = a.role and p.permission = p_permission
  where a.status = 'Active';
$$;
comment on function app.alert_staff is
  'Queue a staff-alert mail to everybody active who has the permission, once per dedupe key; with a link to the transaction.';
