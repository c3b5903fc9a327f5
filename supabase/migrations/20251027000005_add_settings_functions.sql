-- Purpose: settings of the site, saved without losing what the caller did not mean to change.
-- Tables: site_settings. Functions: save_settings, set_logo.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251027000005_add_settings_functions.sql

-- Secrets are answered masked, and pages send back what they were given. The service takes such fields out of the value
-- and names them in p_kept, per setting: they keep what is stored.
create or replace function public.save_settings(p_settings jsonb, p_kept jsonb default '{}')
returns void
language sql volatile security invoker set search_path = ''
as $$
  insert into public.site_settings as s (key, value, updated_at)
  select key, value, now() from jsonb_each(p_settings)
  on conflict (key) do update
  set updated_at = now(),
    value = case when p_kept ? s.key and jsonb_typeof(s.value) = 'object'
      then excluded.value || coalesce(
        (select jsonb_object_agg(f.key, f.value) from jsonb_each(s.value) f where p_kept -> s.key ? f.key), '{}')
      else excluded.value
    end;
$$;
comment on function public.save_settings is
  'Insert or replace settings, {key: value}; the fields that p_kept names, {key: [field]}, keep their stored value.';
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
  v_settings := v_settings || jsonb_build_object('logoUrl', coalesce(p_logo_url, ''));
  update public.site_settings set value = v_settings, updated_at = now() where key = 'general_settings';
  return jsonb_build_object('settings', v_settings, 'previous', v_previous);
end $$;
comment on function public.set_logo is
  'Set (or, with null, clear) logoUrl among the general settings, which stay: {settings, previous}.';
revoke all on function public.set_logo from public, anon, authenticated;
grant execute on function public.set_logo to service_role;

notify pgrst, 'reload schema';
