-- Settings of the site, read without their secrets and saved without losing what the caller did not mean to change.

create or replace function app.is_secret_name(p_name text)
returns boolean language sql immutable set search_path = '' as $$
  select p_name ~* '(passw|passphrase|(^|smtp|[^a-z])pass$|pwd|secret|token|credential|(api|access|auth|private|signing|encryption|license|webhook)[_-]?key)';
$$;
comment on function app.is_secret_name is
  'Whether a field of that name holds a secret: smtpPassword, api_key and the like.';

create or replace function app.mask_secrets(p_value jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select case jsonb_typeof(p_value)
    when 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when app.is_secret_name(f.key) and f.value not in ('""', 'null', 'true', 'false') then '"********"'
          else app.mask_secrets(f.value) end
      ), '{}')
      from jsonb_each(p_value) f
    )
    when 'array' then (
      select coalesce(jsonb_agg(app.mask_secrets(e.value) order by e.at), '[]')
      from jsonb_array_elements(p_value) with ordinality e (value, at)
    )
    else p_value
  end;
$$;
comment on function app.mask_secrets is 'The value with every secret in it, however deep, as ********.';

-- What every visitor reads straight from the table; nothing else is for them.
create or replace function app.is_public_setting(p_key text)
returns boolean language sql immutable set search_path = '' as $$
  select p_key in (
    'general_settings', 'social_links', 'hero_slides', 'display_settings', 'seo_settings', 'ui_preferences'
  );
$$;
comment on function app.is_public_setting is 'Whether a setting is one that the site''s pages need.';

-- What every visitor reads straight from the table cannot hold a secret, whatever its fields are called.
create or replace function app.holds_secret(p_key text, p_value jsonb)
returns boolean language sql immutable set search_path = '' as $$
  select not app.is_public_setting(p_key)
    and (p_key = 'smtp_config' or app.mask_secrets(jsonb_build_object(p_key, p_value)) -> p_key <> p_value);
$$;
comment on function app.holds_secret is 'Whether a setting is one whose secrets are masked, whoever reads it.';

-- A page sends back what it was given. A secret that comes back masked is the stored one; without a stored one it is none.
create or replace function app.keep_masked(p_value jsonb, p_stored jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when app.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' then s.value
          else app.keep_masked(f.value, s.value) end
      ) filter (where not (app.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' and s.value is null)), '{}')
      from jsonb_each(p_value) f
      left join jsonb_each(case when jsonb_typeof(p_stored) = 'object' then p_stored else '{}' end) s on s.key = f.key
    )
    else p_value
  end;
$$;
comment on function app.keep_masked is 'p_value, its masked secrets replaced by those of p_stored.';

-- The policies ask these.
grant execute on function app.is_public_setting to anon, staff;
grant execute on function app.holds_secret, app.mask_secrets, app.is_secret_name to staff;

create table if not exists public.site_settings (key text primary key);
alter table public.site_settings
  add column if not exists value jsonb not null default '{}',
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now(),
  alter column value set default '{}',
  alter column created_at set default now(),
  alter column updated_at set default now();
comment on table public.site_settings is 'One row per group of settings of the site.';
do $$
begin
  -- Settings are saved by key, which an existing table may have beside an id of its own.
  if not exists (
    select from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.site_settings'::regclass and i.indisunique and i.indnatts = 1 and a.attname = 'key'
  ) then
    create unique index site_settings_key_idx on public.site_settings (key);
  end if;
end $$;
call app.bound_line('public.site_settings', 'key', 1, 100);

-- Settings with secrets are for /api/settings alone, which masks them.
call app.close_table('public.site_settings');
create policy site_settings_select_anon on public.site_settings for select to anon using (app.is_public_setting(key));
create policy site_settings_select_staff on public.site_settings for select to staff
  using (app.is_public_setting(key) or (select app.staff_can('settings_view')) and not app.holds_secret(key, value));
create policy site_settings_insert_staff on public.site_settings for insert to staff
  with check ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
create policy site_settings_update_staff on public.site_settings for update to staff
  using ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
create policy site_settings_delete_staff on public.site_settings for delete to staff
  using ((select app.staff_can('settings_edit')) and not app.holds_secret(key, value));
grant select, insert, update, delete on public.site_settings to service_role, staff;
grant select on public.site_settings to anon;
call app.grant_sequence('public.site_settings', 'service_role', 'staff');
create or replace trigger tg_site_settings__refuse_staff before insert or update or delete on public.site_settings
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();

create or replace function public.read_settings(p_key text default null, p_is_staff boolean default false)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(
    jsonb_object_agg(
      s.key,
      case when app.holds_secret(s.key, s.value)
        then app.mask_secrets(jsonb_build_object(s.key, s.value)) -> s.key else s.value end
    ),
    '{}'
  )
  from public.site_settings s
  where (p_key is null or s.key = p_key) and (p_is_staff or app.is_public_setting(s.key));
$$;
comment on function public.read_settings is
  'Settings as {key: value}, or the one of that key: the public ones, all for staff that may see them, secrets masked.';

create or replace function public.save_settings(p_settings jsonb)
returns jsonb language plpgsql volatile set search_path = '' as $$
begin
  insert into public.site_settings as s (key, value, updated_at)
  select f.key, coalesce(app.keep_masked(jsonb_build_object(f.key, f.value), null) -> f.key, '""'), now()
  from jsonb_each(p_settings) f
  on conflict (key) do update set
    updated_at = now(),
    value = coalesce(
      app.keep_masked(
        jsonb_build_object(s.key, p_settings -> s.key), jsonb_build_object(s.key, s.value)
      ) -> s.key, '""'
    );
  return (
    select jsonb_object_agg(f.key, public.read_settings(f.key, true) -> f.key) from jsonb_each(p_settings) f
  );
end $$;
comment on function public.save_settings is
  'Insert or replace settings, {key: value}; masked secrets keep their stored value. What is stored now, masked.';

create or replace function public.set_logo(p_logo_url text)
returns jsonb language plpgsql volatile set search_path = '' as $$
declare
  v_settings jsonb;
  v_previous text;
begin
  insert into public.site_settings (key, value) values ('general_settings', '{}') on conflict (key) do nothing;
  select value, value ->> 'logoUrl' into v_settings, v_previous
  from public.site_settings where key = 'general_settings' for update;
  if jsonb_typeof(v_settings) is distinct from 'object' then
    v_settings := '{}';
  end if;
  v_settings := v_settings
    || jsonb_build_object('logoUrl', p_logo_url, 'logoFileName', regexp_replace(p_logo_url, '^.*/', ''));
  update public.site_settings set value = v_settings, updated_at = now() where key = 'general_settings';
  return jsonb_build_object('settings', v_settings, 'previous', v_previous);
end $$;
comment on function public.set_logo is
  'Set (or, with null, clear) logoUrl and logoFileName among the general settings, which stay: {settings, previous}.';
