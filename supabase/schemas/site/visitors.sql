-- Visitors write straight through PostgREST with the anon key: who they are, and how much one may send in.

-- The address is the visitor's as the service or Supabase's own edge tells it. What a visitor can write himself, like
-- the first entries of X-Forwarded-For, would be a limit of his own choosing.
create or replace function app.visitor_address()
returns text language sql stable set search_path = '' as $$
  select coalesce(
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'visitor',
    headers ->> 'cf-connecting-ip',
    btrim(reverse(split_part(reverse(headers ->> 'x-forwarded-for'), ',', 1))),
    'unknown'
  )
  from (select nullif(current_setting('request.headers', true), '')::jsonb as headers) request;
$$;
comment on function app.visitor_address is
  'IP address of the visitor of this request: as the service says in its token, else as the last proxy saw it.';

-- Definer: visitors do not see the table of rate limits.
create or replace function app.tg_limit_visitor()
returns trigger language plpgsql security definer set search_path = '' as $$
declare
  v_message text;
  v_hint text;
  v_detail text;
begin
  perform app.take_rate_limit(
    'site_' || tg_table_name, app.visitor_address(), '[{"count": 20, "seconds": 60}, {"count": 200, "seconds": 3600}]'
  );
  return new;
exception when sqlstate 'PT429' then
  -- The same once more, in the form by which PostgREST sends headers along: visitors get its answer as it is.
  get stacked diagnostics v_message = message_text, v_hint = pg_exception_hint, v_detail = pg_exception_detail;
  raise sqlstate 'PGRST' using
    message = jsonb_build_object('code', 'PT429', 'message', v_message, 'details', v_detail, 'hint', v_hint)::text,
    detail = jsonb_build_object(
      'status', 429, 'headers', jsonb_build_object('Retry-After', v_detail::jsonb ->> 'retry_after')
    )::text;
end $$;
comment on function app.tg_limit_visitor is
  'Limits what one address may send in straight through PostgREST: 20 rows a minute and 200 an hour per table, else PT429.';

create or replace function public.visitor_columns()
returns text[] language sql stable set search_path = '' as $$
  select coalesce(array_agg(distinct a.attname::text), '{}')
  from pg_catalog.pg_class c
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_column_privilege('anon', c.oid, a.attnum, 'select');
$$;
comment on function public.visitor_columns is 'The names of all columns that visitors may read.';
