-- Purpose: staff accounts as the users page of the site manages them.
-- Tables: admin_users, staff_credentials. Functions: staff_json, list_users, create_user, update_user, delete_user,
--   set_staff_password.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251027000003_add_user_functions.sql

create or replace function public.staff_json(p_staff public.admin_users)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'id', p_staff.id, 'name', p_staff.name, 'email', p_staff.email, 'phone', p_staff.phone, 'role', p_staff.role,
    'avatar', p_staff.avatar, 'status', p_staff.status, 'last_login', p_staff.last_login,
    'created_at', p_staff.created_at
  );
$$;
comment on function public.staff_json is 'A staff account as the API answers it.';
revoke all on function public.staff_json from public, anon, authenticated;
grant execute on function public.staff_json to service_role;

create or replace function public.list_users(p_role text default null, p_status text default null, p_search text default null)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select coalesce(jsonb_agg(public.staff_json(a) order by a.created_at desc, a.id desc), '[]')
  from public.admin_users a
  where (p_role is null or a.role = p_role)
    and (p_status is null or a.status = p_status)
    and (
      p_search is null
      or position(lower(p_search) in lower(concat_ws(' ', a.name, a.email, a.phone))) > 0
    );
$$;
comment on function public.list_users is
  'Staff accounts, newest first, of that role and status, with the text in name, address or phone.';
revoke all on function public.list_users from public, anon, authenticated;
grant execute on function public.list_users to service_role;

create or replace function public.create_user(p_values jsonb, p_password_hash text, p_actor jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_staff public.admin_users;
begin
  perform public.act_as_staff(p_actor);
  insert into public.admin_users (name, email, phone, role, avatar, status)
  values (
    p_values ->> 'name', p_values ->> 'email', p_values ->> 'phone', p_values ->> 'role', p_values ->> 'avatar',
    coalesce(p_values ->> 'status', 'Active')
  )
  returning * into v_staff;
  if p_password_hash is not null then
    insert into public.staff_credentials (staff_id, password_hash) values (v_staff.id, p_password_hash);
  end if;
  return public.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.create_user is
  'Make a staff account of {name, email, phone, role, avatar, status}; without a hash it cannot sign in yet. PT409.';
revoke all on function public.create_user from public, anon, authenticated;
grant execute on function public.create_user to service_role;

create or replace function public.set_staff_password(p_staff_id integer, p_password_hash text, p_actor jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into public.staff_credentials (staff_id, password_hash) values (p_staff_id, p_password_hash)
  on conflict (staff_id) do update set password_hash = excluded.password_hash, changed_at = now();
  delete from public.staff_sessions where staff_id = p_staff_id;
  perform public.record_staff_event(p_staff_id, 'password_changed', p_actor);
end $$;
comment on function public.set_staff_password is 'Give an account another password; its sessions end.';
revoke all on function public.set_staff_password from public, anon, authenticated;
grant execute on function public.set_staff_password to service_role;

create or replace function public.update_user(p_id integer, p_changes jsonb, p_password_hash text, p_actor jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_staff public.admin_users;
begin
  perform public.act_as_staff(p_actor);
  update public.admin_users a
  set name = case when p_changes ? 'name' then p_changes ->> 'name' else a.name end,
    email = case when p_changes ? 'email' then p_changes ->> 'email' else a.email end,
    phone = case when p_changes ? 'phone' then p_changes ->> 'phone' else a.phone end,
    role = case when p_changes ? 'role' then p_changes ->> 'role' else a.role end,
    avatar = case when p_changes ? 'avatar' then p_changes ->> 'avatar' else a.avatar end,
    status = case when p_changes ? 'status' then p_changes ->> 'status' else a.status end
  where a.id = p_id
  returning * into v_staff;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'not_found';
  end if;
  if p_password_hash is not null then
    perform public.set_staff_password(p_id, p_password_hash, p_actor);
  end if;
  return public.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.update_user is
  'Change what p_changes holds of an account, and its password where a hash is given. PT400, PT404, PT409.';
revoke all on function public.update_user from public, anon, authenticated;
grant execute on function public.update_user to service_role;

create or replace function public.delete_user(p_id integer, p_actor jsonb)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform public.act_as_staff(p_actor);
  delete from public.admin_users where id = p_id;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'not_found';
  end if;
end $$;
comment on function public.delete_user is 'Delete a staff account. PT400 for one''s own and the last active Admin, PT404.';
revoke all on function public.delete_user from public, anon, authenticated;
grant execute on function public.delete_user to service_role;

notify pgrst, 'reload schema';
