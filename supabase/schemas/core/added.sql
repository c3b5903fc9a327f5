-- Which columns the baseline added to tables that were there before it: its rollback drops these and no others.

insert into app.previous (kind, name)
select 'added column', c.relname || '.' || a.attname
from pg_class c
join app.previous t on t.kind = 'table' and t.name = c.relname
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
  and not exists (select from app.previous p where p.kind = 'column' and p.name = c.relname || '.' || a.attname)
on conflict do nothing;
