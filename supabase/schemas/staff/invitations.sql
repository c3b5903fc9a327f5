-- A member of staff chooses the first password by a mailed link, so that nobody else ever knows it.

create table if not exists public.staff_invitations (
  id uuid primary key default gen_random_uuid(),
  staff_id integer not null references public.admin_users (id) on delete cascade,
  email_id uuid not null,
  token_hash text not null constraint staff_invitations_token_hash_key unique,
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);
comment on table public.staff_invitations is 'Links to a first password, by the SHA-256 of their tokens.';
comment on column public.staff_invitations.email_id is 'The mail that carries it; no foreign key, mails are purged.';
create index if not exists staff_invitations_staff_id_idx on public.staff_invitations (staff_id);

call app.close_table('public.staff_invitations');
grant select, insert, update, delete on public.staff_invitations to service_role;

create or replace function public.invite_staff(p_values jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff jsonb := (
    select app.staff_json(a) from public.admin_users a where lower(a.email) = lower(p_values ->> 'email')
  );
begin
  if v_staff is null then
    v_staff := public.create_user(p_values, null);
  elsif exists (select from public.staff_credentials c where c.staff_id = (v_staff ->> 'id')::integer) then
    raise sqlstate 'PT409' using message = 'A user with this email already exists', hint = 'email_taken';
  end if;
  perform app.queue_email(
    'staff-invitation', v_staff ->> 'email', jsonb_build_object('name', v_staff ->> 'name', 'role', v_staff ->> 'role')
  );
  return v_staff;
end $$;
comment on function public.invite_staff is
  'Make a staff account without a password, where it is missing, and queue the mail with its link. PT409 when it has one.';

create or replace function public.issue_staff_invitation(p_email_id uuid, p_token_hash text, p_ttl_seconds integer)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_staff_id integer := (
    select a.id
    from public.email_outbox m
    join public.admin_users a on lower(a.email) = lower(m.recipient) and a.status = 'Active'
    where m.id = p_email_id and m.template = 'staff-invitation'
      and not exists (select from public.staff_credentials c where c.staff_id = a.id)
  );
begin
  if v_staff_id is null then
    return null;
  end if;
  delete from public.staff_invitations where staff_id = v_staff_id and email_id <> p_email_id;
  insert into public.staff_invitations (staff_id, email_id, token_hash, expires_at)
  values (v_staff_id, p_email_id, p_token_hash, now() + make_interval(secs => p_ttl_seconds));
  return jsonb_build_object('staff_id', v_staff_id);
end $$;
comment on function public.issue_staff_invitation is
  'Keep the hash of a link''s token as its mail is sent: {staff_id}, or null when the account needs no first password. '
  'Links of other mails to that account die; those of this mail, sent twice, all work until one is used.';

create or replace function public.accept_staff_invitation(p_staff_id integer, p_token_hash text, p_password_hash text)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_invitation public.staff_invitations;
  v_email text := (select email from public.admin_users where id = p_staff_id and status = 'Active' for no key update);
begin
  select * into v_invitation from public.staff_invitations
  where staff_id = p_staff_id and token_hash = p_token_hash and v_email is not null;
  perform app.check_link(v_invitation.expires_at, null, null);
  perform app.act_as(v_email);
  perform app.set_staff_password(p_staff_id, p_password_hash);
  delete from public.staff_invitations where staff_id = p_staff_id;
end $$;
comment on function public.accept_staff_invitation is
  'Spend a link: the account gets its password. PT400 token_invalid, token_expired.';
