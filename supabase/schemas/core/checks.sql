-- Bounds on what a column may hold. They stand at the tables, so that they hold behind every door, in the same figures
-- and sentences as service/fields.py; the comment of each check is what a person is told.

create or replace function app.is_line(p_text text, p_min integer, p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select length(btrim(p_text)) >= p_min and length(p_text) <= p_max and p_text !~ '[[:cntrl:]]';
$$;
comment on function app.is_line is 'One line of text of so many characters.';

create or replace function app.is_text(p_text text, p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select length(p_text) <= p_max and translate(p_text, E'\n\r\t', '') !~ '[[:cntrl:]]';
$$;
comment on function app.is_text is 'Text of at most so many characters, line breaks among them.';

create or replace function app.is_email(p_text text)
returns boolean language sql immutable set search_path = '' as $$
  select octet_length(p_text) between 3 and 254
    and p_text ~ '^[^[:space:][:cntrl:]<>(),;:"@]+@[^[:space:][:cntrl:]<>(),;:"@]+$';
$$;
comment on function app.is_email is 'An address that mail can be sent to.';

-- A name like Dr.Li is none, a host name without a path is told by its ending: one of two letters, or one that many have.
create or replace function app.holds_web_address(p_text text)
returns boolean language sql immutable set search_path = '' as $$
  select text ~* '://|\mhttps?:|\mwww\.|\m[0-9]{1,3}(\.[0-9]{1,3}){3}\M'
    or text ~ '\m[[:alnum:]-]{2,}\.[a-z]{2,}(:[0-9]+)?[/?#]'
    or text ~* ('\m(?!(mr|mrs|ms|dr|drs|md|mohd|st|ste|smt|shri|sri|sh|prof|ing|mag|capt|col|maj|gen|lt|sgt|adv|er|fr|br|sr|jr|rev'
      || '|hon)\.)[[:alnum:]-]{2,}\.((com|net|org|info|biz|edu|gov|mil|int|app|dev|xyz|online|site|shop|store|club|live|link|click'
      || '|top|icu|vip|fun|pro|tech|space|website|world|today|agency|travel|email|cloud|page|blog|news|buzz|mobi|asia|example)'
      || '|(?!(jr|sr)\M)[a-z]{2})\M')
    or text ~* '\m[[:alnum:]]\.[a-z]{2}/'
  from translate(p_text, '。．｡', '...') as text;
$$;
comment on function app.holds_web_address is 'Whether a mail client might make a link of a part of the text.';

create or replace function app.are_lines(p_texts text[], p_max integer)
returns boolean language sql immutable set search_path = '' as $$
  select cardinality(p_texts) <= 100 and (select coalesce(bool_and(app.is_line(t, 0, p_max)), true) from unnest(p_texts) t);
$$;
comment on function app.are_lines is 'At most 100 lines of text.';
-- A check runs with the rights of whoever writes the row.
grant execute on function
  app.is_line, app.is_text, app.is_email, app.holds_web_address, app.are_lines to anon, customer, staff;

-- Rows of an existing project may be older than the bound: then it holds for what is written from now on.
create or replace procedure app.add_check(p_table regclass, p_column text, p_check text, p_sentence text)
language plpgsql set search_path = '' as $$
declare
  v_name text := format('%s_%s_check', (select relname from pg_catalog.pg_class where oid = p_table), p_column);
  v_old name;
begin
  -- What an existing project asks of the column, under whatever name, gives way.
  for v_old in
    select c.conname from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]
    where c.conrelid = p_table and c.contype = 'c' and a.attname = p_column
  loop
    execute format('alter table %s drop constraint %I', p_table, v_old);
  end loop;
  execute format('alter table %s add constraint %I check (%s) not valid', p_table, v_name, p_check);
  execute format('comment on constraint %I on %s is %L', v_name, p_table, p_column || ': ' || p_sentence);
  begin
    execute format('alter table %s validate constraint %I', p_table, v_name);
  exception when check_violation then
    null;
  end;
end $$;
comment on procedure app.add_check is 'Bound a column, and say in a sentence what it asks for.';

create or replace procedure app.bound_line(p_table regclass, p_column text, p_min integer, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.is_line(%I, %s, %s)', p_column, p_min, p_max), format(
    case p_min when 0 then 'Must be one line of at most %s characters.'
      else 'May not be empty or have more than %s characters.' end, p_max
  ));
end $$;
comment on procedure app.bound_line is 'Let a column hold one line of text.';

create or replace procedure app.bound_name(p_table regclass, p_column text, p_min integer, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(
    p_table, p_column, format('app.is_line(%1$I, %2$s, %3$s) and not app.holds_web_address(%1$I)', p_column, p_min, p_max),
    format(case p_min when 0 then 'Must be one line of at most %s characters, without a web address.'
      else 'May not be empty, have more than %s characters or hold a web address.' end, p_max)
  );
end $$;
comment on procedure app.bound_name is 'Let a column hold what somebody is called.';

create or replace procedure app.bound_text(p_table regclass, p_column text, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.is_text(%I, %s)', p_column, p_max),
    format('Must have at most %s characters.', p_max));
end $$;
comment on procedure app.bound_text is 'Let a column hold text.';

create or replace procedure app.bound_lines(p_table regclass, p_column text, p_max integer)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('app.are_lines(%I, %s)', p_column, p_max),
    format('Must be a list of at most 100 lines, each of at most %s characters.', p_max));
end $$;
comment on procedure app.bound_lines is 'Let a column hold a list of lines.';

create or replace procedure app.bound_number(p_table regclass, p_column text, p_min numeric, p_max numeric)
language plpgsql set search_path = '' as $$
begin
  -- Some projects keep a measure as text.
  if exists (
    select from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = p_table and a.attname = p_column and t.typcategory = 'N'
  ) then
    call app.add_check(p_table, p_column, format('%I between %s and %s', p_column, p_min, p_max),
      format('Must be between %s and %s.', p_min, p_max));
  end if;
end $$;
comment on procedure app.bound_number is 'Let a column hold numbers of a range.';

create or replace procedure app.bound_choice(p_table regclass, p_column text, variadic p_choices text[])
language plpgsql set search_path = '' as $$
declare
  v_list text := (select string_agg(quote_literal(c), ', ') from unnest(p_choices) c);
begin
  call app.add_check(p_table, p_column, format('%I in (%s)', p_column, v_list),
    format('Must be one of %s.', array_to_string(p_choices, ', ')));
end $$;
comment on procedure app.bound_choice is 'Let a column hold one of some words.';

create or replace procedure app.bound_email(p_table regclass, p_column text)
language plpgsql set search_path = '' as $$
begin
  call app.add_check(p_table, p_column, format('%1$I = '''' or app.is_email(%1$I)', p_column), 'Is not a valid e-mail address.');
end $$;
comment on procedure app.bound_email is 'Let a column hold an address of mail, or none.';

create or replace function public.check_sentence(p_name text)
returns text language sql stable set search_path = '' as $$
  select obj_description(c.oid, 'pg_constraint') from pg_catalog.pg_constraint c
  where c.connamespace = 'public'::regnamespace and c.contype = 'c' and c.conname = p_name limit 1;
$$;
comment on function public.check_sentence is
  '"column: sentence" for a person whose values broke the check of that name; null when unknown.';
