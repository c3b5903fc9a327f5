-- A member of staff chooses the first password by a mailed link, so that nobody else ever knows it.

-- One row is one invitation, from when it is made. What ends it takes the row away: a password that is set, a changed
-- address, a deactivated account; a newer one takes its place. A mail whose row is gone is not sent, a link of it not taken.
create table if not exists public.staff_invitations (
  staff_id integer primary key references public.admin_users (id) on delete cascade,
  email_id uuid not null,
  token_hashes text[] not null default '{}',
  expires_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.staff_invitations is 'Staff who may choose a first password by a mailed link.';
comment on column public.staff_invitations.email_id is 'The mail that carries it; no foreign key, mails are purged.';
comment on column public.staff_invitations.token_hashes is
  'SHA-256 of the links'' tokens: none before the mail is sent, two where it was sent twice.';
comment on column public.staff_invitations.expires_at is 'Null before the mail is sent.';

call app.close_table('public.staff_invitations');
grant select, insert, update, delete on public.staff_invitations to service_role;

-- Definer: role staff, which changes accounts, sees no invitations.
create or replace function app.tg_end_invitation()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  delete from public.staff_invitations where staff_id = (to_jsonb(new) ->> tg_argv[0])::integer;
  return null;
end $$;
comment on function app.tg_end_invitation is 'Ends the invitation of the account whose id is in the column of the argument.';

create or replace trigger tg_admin_users__end_invitation after update on public.admin_users
  for each row when (old.email is distinct from new.email or old.status is distinct from new.status)
  execute function app.tg_end_invitation('id');
create or replace trigger tg_staff_credentials__end_invitation after insert or update on public.staff_credentials
  for each row execute function app.tg_end_invitation('staff_id');

create or replace function public.invite_staff(p_values jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff public.admin_users;
begin
  select * into v_staff from public.admin_users where lower(email) = lower(p_values ->> 'email') for no key update;
  if not found then
    perform public.create_user(p_values, null);
    select * into v_staff from public.admin_users where lower(email) = lower(p_values ->> 'email');
  elsif v_staff.status <> 'Active' then
    raise sqlstate 'PT409' using message = 'This account is deactivated.', hint = 'account_deactivated';
  elsif exists (select from public.staff_credentials where staff_id = v_staff.id) then
    raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
  end if;
  insert into public.staff_invitations as i (staff_id, email_id)
  values (v_staff.id, app.queue_email(
    'staff-invitation', v_staff.email, jsonb_build_object('name', v_staff.name, 'role', v_staff.role)
  ))
  on conflict (staff_id) do update
  set email_id = excluded.email_id, token_hashes = '{}', expires_at = null, created_at = now();
  return app.staff_json(v_staff);
end $$;
comment on function public.invite_staff is
  'Make a staff account without a password, where it is missing, and queue the mail with its link; earlier links end. PT409 '
  'when it has a password or is deactivated.';

create or replace function public.issue_staff_invitation(p_email_id uuid, p_token_hash text, p_ttl_seconds integer)
returns jsonb language sql volatile set search_path = '' as $$
  update public.staff_invitations
  set token_hashes = token_hashes || p_token_hash, expires_at = now() + make_interval(secs => p_ttl_seconds)
  where email_id = p_email_id
  returning jsonb_build_object('staff_id', staff_id);
$$;
comment on function public.issue_staff_invitation is
  'Keep the hash of a link''s token as its mail is sent: {staff_id}, or null when the invitation ended meanwhile. The links of '
  'a mail that was sent twice all work until one is used.';

create or replace function public.accept_staff_invitation(p_staff_id integer, p_token_hash text, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_email text := (select email from public.admin_users where id = p_staff_id for no key update);
begin
  perform app.check_link((
    select expires_at from public.staff_invitations where staff_id = p_staff_id and p_token_hash = any (token_hashes)
  ), null, null);
  perform app.act_as(v_email);
  perform app.set_staff_password(p_staff_id, p_password_hash);
end $$;
comment on function public.accept_staff_invitation is
  'Spend a link: the account gets its password. PT400 token_invalid, token_expired.';
