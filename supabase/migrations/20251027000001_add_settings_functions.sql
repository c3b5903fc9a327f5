-- Purpose: settings of the site, read without their secrets and saved without losing what the caller did not mean to change.
-- Tables: site_settings. Functions: is_secret_name, mask_secrets, holds_secret, keep_masked, read_settings, save_settings,
--   set_logo.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251027000001_add_settings_functions.sql

create or replace function public.is_secret_name(p_name text)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select p_name ~* '(password|secret|token|(api|private)_?key)';
$$;
comment on function public.is_secret_name is 'Whether a field of that name holds a secret: smtpPassword, api_key and the like.';
revoke all on function public.is_secret_name from public, anon, authenticated;
grant execute on function public.is_secret_name to service_role;

create or replace function public.mask_secrets(p_value jsonb)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select case jsonb_typeof(p_value)
    when 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when public.is_secret_name(f.key) and f.value not in ('""', 'null', 'true', 'false') then '"********"'
          else public.mask_secrets(f.value) end
      ), '{}')
      from jsonb_each(p_value) f
    )
    when 'array' then (
      select coalesce(jsonb_agg(public.mask_secrets(e.value) order by e.at), '[]')
      from jsonb_array_elements(p_value) with ordinality e (value, at)
    )
    else p_value
  end;
$$;
comment on function public.mask_secrets is 'The value with every secret in it, however deep, as ********.';
revoke all on function public.mask_secrets from public, anon, authenticated;
grant execute on function public.mask_secrets to service_role;

-- What every visitor reads straight from the table cannot hold a secret, whatever its fields are called.
create or replace function public.holds_secret(p_key text, p_value jsonb)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select p_key not in (
      'general_settings', 'social_links', 'hero_slides', 'display_settings', 'seo_settings', 'ui_preferences'
    )
    and (p_key = 'smtp_config' or public.mask_secrets(jsonb_build_object(p_key, p_value)) -> p_key <> p_value);
$$;
comment on function public.holds_secret is 'Whether a setting is one that only staff with settings_view may see, masked.';
revoke all on function public.holds_secret from public, anon, authenticated;
grant execute on function public.holds_secret to service_role;

-- A page sends back what it was given. A secret that comes back masked is the stored one; without a stored one it is none.
create or replace function public.keep_masked(p_value jsonb, p_stored jsonb)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_value) = 'object' then (
      select coalesce(jsonb_object_agg(
        f.key,
        case when public.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' then s.value
          else public.keep_masked(f.value, s.value) end
      ) filter (where not (public.is_secret_name(f.key) and f.value #>> '{}' ~ '^[*•]{3,}$' and s.value is null)), '{}')
      from jsonb_each(p_value) f
      left join jsonb_each(case when jsonb_typeof(p_stored) = 'object' then p_stored else '{}' end) s on s.key = f.key
    )
    else p_value
  end;
$$;
comment on function public.keep_masked is 'p_value, its masked secrets replaced by those of p_stored.';
revoke all on function public.keep_masked from public, anon, authenticated;
grant execute on function public.keep_masked to service_role;

create or replace function public.read_settings(p_key text default null, p_is_staff boolean default false)
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select coalesce(
    jsonb_object_agg(
      s.key,
      case when public.holds_secret(s.key, s.value)
        then public.mask_secrets(jsonb_build_object(s.key, s.value)) -> s.key else s.value end
    ),
    '{}'
  )
  from public.site_settings s
  where (p_key is null or s.key = p_key) and (p_is_staff or not public.holds_secret(s.key, s.value));
$$;
comment on function public.read_settings is
  'Settings as {key: value}, or the one of that key. Those with a secret only for staff, masked.';
revoke all on function public.read_settings from public, anon, authenticated;
grant execute on function public.read_settings to service_role;

create or replace function public.save_settings(p_settings jsonb)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into public.site_settings as s (key, value, updated_at)
  select f.key, coalesce(public.keep_masked(jsonb_build_object(f.key, f.value), null) -> f.key, '""'), now()
  from jsonb_each(p_settings) f
  on conflict (key) do update set
    updated_at = now(),
    value = coalesce(
      public.keep_masked(
        jsonb_build_object(s.key, p_settings -> s.key), jsonb_build_object(s.key, s.value)
      ) -> s.key, '""'
    );
  return (
    select jsonb_object_agg(f.key, public.read_settings(f.key, true) -> f.key) from jsonb_each(p_settings) f
  );
end $$;
comment on function public.save_settings is
  'Insert or replace settings, {key: value}; masked secrets keep their stored value. What is stored now, masked.';
revoke all on function public.save_settings from public, anon, authenticated;
grant execute on function public.save_settings to service_role;

create or replace function public.set_logo(p_logo_url text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
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
revoke all on function public.set_logo from public, anon, authenticated;
grant execute on function public.set_logo to service_role;

notify pgrst, 'reload schema';
