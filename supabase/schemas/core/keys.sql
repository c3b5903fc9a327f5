-- booking_key is the type of bookings.id: uuid on a fresh database, and on an existing one whatever is found there
-- (integer, as a rule). All that refers to a booking uses the domain, so that one text serves both.

do $$
declare
  v_found text := (
    select format_type(a.atttypid, a.atttypmod)
    from pg_attribute a
    where a.attrelid = to_regclass('public.bookings') and a.attname = 'id' and not a.attisdropped
  );
begin
  if to_regtype('public.booking_key') is null then
    execute format('create domain public.booking_key as %s', coalesce(v_found, 'uuid'));
  end if;
end $$;
comment on domain public.booking_key is
  'Type of bookings.id: uuid on a fresh database, the type found on an existing one.';

-- Ids arrive as text or number: what cannot be one must answer "no such booking" and not break the query.
create or replace function app.to_booking_key(p_text text)
returns public.booking_key language plpgsql immutable set search_path = '' as $$
begin
  return p_text::public.booking_key;
exception when invalid_text_representation or numeric_value_out_of_range then
  return null;
end $$;
comment on function app.to_booking_key is 'The booking id that a text stands for; null when it cannot be one.';

create or replace function app.uuid_v7()
returns uuid language sql volatile set search_path = '' as $$
  select (
    lpad(to_hex(micros / 1000), 12, '0') || '7' || lpad(to_hex(micros % 1000 * 4096 / 1000), 3, '0')
    || right(replace(gen_random_uuid()::text, '-', ''), 16)
  )::uuid
  from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros) now;
$$;
comment on function app.uuid_v7 is 'An id that sorts by the time it was made (RFC 9562, 5.7): the newest is the greatest.';
grant execute on function app.uuid_v7 to anon, staff;
