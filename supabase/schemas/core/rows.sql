-- Triggers that any table may have.

create or replace function app.tg_set_updated_at()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
comment on function app.tg_set_updated_at is 'Keeps updated_at current; for "before update" triggers.';

-- Audit tables tell what happened: nobody may change that afterwards, the service and the owner included. What is past its
-- time goes by the sweep alone, which names the table for as long as it sweeps: see core/retention.sql.
create or replace function app.tg_append_only()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'DELETE' and current_setting('app.purges', true) = tg_table_name then
    return null;
  end if;
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = '42501';
end $$;
comment on function app.tg_append_only is 'Refuses update, truncate, and delete but by the sweep; for audit tables.';

-- The site's pages call functions of texts and numbers on what they read and stop at a null: text that nobody gave is empty
-- instead, and a number is its column's default. Said by a trigger and not by a default alone, because the pages also send
-- nulls, and old tables refuse those.
create or replace function app.columns_to_fill(p_table oid)
returns table (attname text, empty jsonb) language sql stable set search_path = '' as $$
  select a.attname::text, case
    when a.atttypid = 'text[]'::regtype then jsonb '[]'
    when a.atttypid in ('text'::regtype, 'varchar'::regtype) then jsonb '""'
    else pg_get_expr(d.adbin, d.adrelid)::jsonb
  end
  from pg_catalog.pg_attribute a
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and (
    a.atttypid in ('text'::regtype, 'varchar'::regtype, 'text[]'::regtype) or pg_get_expr(d.adbin, d.adrelid) ~ '^[0-9.]+$'
  );
$$;
comment on function app.columns_to_fill is 'Columns of text, lists of text, and numbers with a default; and what stands for nothing there.';
grant execute on function app.columns_to_fill to anon, customer, staff;

create or replace function app.tg_fill_text()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_given jsonb := to_jsonb(new);
  v_empty jsonb := (
    select jsonb_object_agg(a.attname, a.empty)
    from app.columns_to_fill(tg_relid) a
    where v_given -> a.attname = 'null' and not a.attname = any (coalesce(tg_argv, '{}'))
  );
begin
  if v_empty is not null then
    new := jsonb_populate_record(new, v_empty);
  end if;
  return new;
end $$;
comment on function app.tg_fill_text is 'Makes missing text empty and missing numbers their defaults, but for the columns of the arguments.';

create or replace procedure app.fill_text(p_table regclass, variadic p_but text[] default '{}')
language plpgsql set search_path = '' as $$
declare
  v_name name := (select relname from pg_catalog.pg_class where oid = p_table);
  v_columns text[] := array(
    select quote_ident(a.attname) from app.columns_to_fill(p_table) a where not a.attname = any (p_but)
  );
begin
  execute format(
    'create or replace trigger %I before insert or update on %s for each row execute function app.tg_fill_text(%s)',
    'tg_' || v_name || '__fill_text', p_table, (select string_agg(quote_literal(c), ', ') from unnest(p_but) c)
  );
  execute format('update %s set %s = %2$s where %s', p_table, v_columns[1], array_to_string(v_columns, ' is null or ') || ' is null');
end $$;
comment on procedure app.fill_text is 'From here on a table has no null text, but in the columns named; old rows are mended, so it comes before the checks of '
  'the table: they refuse every change of an old row outside of them.';

-- Some pages of the site read one column and write another of the same meaning.
create or replace function app.tg_keep_in_step()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_one text := coalesce(to_jsonb(new) ->> tg_argv[0], '');
  v_other text := coalesce(to_jsonb(new) ->> tg_argv[1], '');
  v_value text := case
    when tg_op = 'UPDATE' and v_other is distinct from to_jsonb(old) ->> tg_argv[1] then v_other
    else coalesce(nullif(v_one, ''), v_other)
  end;
begin
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], v_value, tg_argv[1], v_value));
end $$;
comment on function app.tg_keep_in_step is 'Gives two columns, the arguments, one value: the one that was changed.';

-- Money of an existing project may be kept in whole units; prices have cents.
create or replace procedure app.keep_cents(p_table regclass, p_column text)
language plpgsql set search_path = '' as $$
begin
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = p_table and attname = p_column and atttypid = 'integer'::regtype
  ) then
    execute format('alter table %s alter column %I type numeric(12, 2)', p_table, p_column);
  end if;
end $$;
comment on procedure app.keep_cents is 'Widen a column of whole currency units to hundredths.';
