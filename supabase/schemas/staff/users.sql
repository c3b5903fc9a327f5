-- Staff accounts as the users page of the site manages them.

create or replace function app.staff_json(p_staff public.admin_users)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', p_staff.id, 'name', p_staff.name, 'email', p_staff.email, 'phone', p_staff.phone, 'role', p_staff.role,
    'avatar', p_staff.avatar, 'status', p_staff.status, 'last_login', p_staff.last_login::timestamptz,
    'created_at', p_staff.created_at
  );
$$;
comment on function app.staff_json is 'A staff account as the API answers it.';

create or replace function public.list_users(p_role text default null, p_status text default null, p_search text default null)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(app.staff_json(a) order by a.created_at desc, a.id desc), '[]')
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

create or replace function public.create_user(p_values jsonb, p_password_hash text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  insert into public.admin_users (name, email, phone, role, avatar, status)
  values (
    p_values ->> 'name', p_values ->> 'email', p_values ->> 'phone', p_values ->> 'role', p_values ->> 'avatar',
    coalesce(p_values ->> 'status', 'Active')
  )
  returning * into v_staff;
  if p_password_hash is not null then
    insert into public.staff_credentials (staff_id, password_hash) values (v_staff.id, p_password_hash);
  end if;
  return app.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.create_user is
  'Make a staff account of {name, email, phone, role, avatar, status}; without a hash it cannot sign in yet. PT409.';

create or replace function app.set_staff_password(p_staff_id integer, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
begin
  insert into public.staff_credentials (staff_id, password_hash) values (p_staff_id, p_password_hash)
  on conflict (staff_id) do update set password_hash = excluded.password_hash, changed_at = now();
  delete from public.staff_sessions where staff_id = p_staff_id;
  perform app.clear_logins('staff', email) from public.admin_users where id = p_staff_id;
  perform app.record_staff_event(p_staff_id, 'password_changed');
end $$;
comment on function app.set_staff_password is 'Give an account another password: its sessions end, attempts to guess the old one are forgotten.';

create or replace function public.update_user(p_id integer, p_changes jsonb, p_password_hash text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  select * into v_staff from public.admin_users where id = p_id for update;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'user_not_found';
  end if;
  v_staff := jsonb_populate_record(v_staff, p_changes);
  update public.admin_users
  set (name, email, phone, role, avatar, status) = (
    v_staff.name, v_staff.email, v_staff.phone, v_staff.role, v_staff.avatar, v_staff.status
  )
  where id = p_id
  returning * into v_staff;
  if p_password_hash is not null then
    perform app.set_staff_password(p_id, p_password_hash);
  end if;
  return app.staff_json(v_staff);
exception when unique_violation then
  raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
end $$;
comment on function public.update_user is
  'Change what p_changes holds of an account, and its password where a hash is given. PT400, PT404, PT409.';

create or replace function public.delete_user(p_id integer)
returns void language plpgsql volatile set search_path = '' as $$
begin
  delete from public.admin_users where id = p_id;
  if not found then
    raise sqlstate 'PT404' using message = 'User not found', hint = 'user_not_found';
  end if;
end $$;
comment on function public.delete_user is
  'Delete a staff account. PT400 for one''s own and the last active Admin, PT404.';
