-- Undoes 20250605000000_baseline.sql: what app.previous does not name goes, what it names is as it was. Rows that staff
-- and visitors wrote into tables of an existing project stay, and so do the password hashes that it kept itself.

-- A booking marked Failed becomes Pending, as checks of an existing project demand.
update public.bookings set payment_status = 'Pending' where payment_status = 'Failed';

do $$
declare
  v_restore text[] := array(select definition from app.previous where definition ~* '^(alter|comment|create|grant) ' order by kind);
  v_old_tables text[] := array(select name from app.previous where kind = 'table');
  v_old_indexes text[] := array(select name from app.previous where kind = 'index');
  v_added text[] := array(select name from app.previous where kind = 'added column');
  v_hash_type text := (select definition from app.previous where kind = 'column' and name = 'admin_users.password_hash');
  v_found record;
  v_command text;
begin
  if v_hash_type is not null then
    execute format('alter table public.admin_users add column password_hash %s', v_hash_type);
    execute 'update public.admin_users a set password_hash = c.password_hash from public.staff_credentials c where c.staff_id = a.id';
  end if;
  drop view public.booking_summaries;
  drop table public.staff_events, public.staff_sessions, public.staff_credentials, public.email_outbox, public.email_queue,
    public.scheduled_jobs, public.rate_limits;
  -- With the schema go the triggers and policies that use its functions, and the checks.
  drop schema app cascade;
  drop function public.applied_migrations, public.check_sentence, public.get_booking_summary, public.read_settings, public.save_settings,
    public.set_logo, public.claim_email, public.finish_email,
    public.pause_email_queue, public.resume_email_queue, public.list_unsent_links, public.retry_dead_emails,
    public.purge_emails, public.claim_scheduled_job, public.email_queue_status, public.visitor_columns;
  for v_found in
    select c.relname, c.oid::regclass as relation from pg_class c
    where c.oid in (
      to_regclass('public.ticket_messages'), to_regclass('public.support_tickets'), to_regclass('public.site_settings'),
      to_regclass('public.blog_posts'), to_regclass('public.faqs'), to_regclass('public.testimonials'),
      to_regclass('public.gallery'), to_regclass('public.destinations'), to_regclass('public.email_history'),
      to_regclass('public.bookings'), to_regclass('public.itineraries'), to_regclass('public.packages'),
      to_regclass('public.admin_users')
    )
    order by array_position(array['ticket_messages', 'itineraries', 'bookings'], c.relname::text)
  loop
    if not v_found.relname = any (v_old_tables) then
      execute format('drop table %s', v_found.relation);
      continue;
    end if;
    execute format('revoke all on %s from anon, authenticated, service_role, customer, staff', v_found.relation);
    for v_command in
      select format('comment on table %s is null', v_found.relation)
      union all
      select format('comment on column %s.%I is null', v_found.relation, attname)
      from pg_attribute where attrelid = v_found.relation and col_description(attrelid, attnum) is not null
      union all
      select format('drop policy %I on %s', polname, v_found.relation) from pg_policy where polrelid = v_found.relation
      union all
      select format('alter table %s drop constraint %I', v_found.relation, conname)
      from pg_constraint where conrelid = v_found.relation and contype in ('c', 'f')
      union all
      select format('alter table %s drop column %I', v_found.relation, split_part(name, '.', 2))
      from unnest(v_added) name where split_part(name, '.', 1) = v_found.relname
      union all
      select format('drop index public.%I', i.relname)
      from pg_index x join pg_class i on i.oid = x.indexrelid
      where x.indrelid = v_found.relation and not i.relname = any (v_old_indexes)
        and not exists (
          select from pg_attribute a
          where a.attrelid = x.indrelid and a.attnum = any (x.indkey::int2[])
            and v_found.relname || '.' || a.attname = any (v_added)
        )
    loop
      execute v_command;
    end loop;
  end loop;
  revoke all on all sequences in schema public from anon, authenticated, service_role, customer, staff;
  drop domain public.booking_key;
  alter default privileges grant execute on functions to public;
  alter default privileges in schema public revoke execute on functions from service_role;
  revoke usage on schema public from customer, staff;
  foreach v_command in array v_restore loop
    execute v_command;
  end loop;
end $$;

do $$
declare
  v_role text;
begin
  foreach v_role in array array['customer', 'staff'] loop
    begin
      execute format('drop role %I', v_role);
    exception when dependent_objects_still_exist then
      null;  -- another database of the same server uses it
    end;
  end loop;
end $$;
notify pgrst, 'reload config';
notify pgrst, 'reload schema';
