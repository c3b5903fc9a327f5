-- Purpose: what the site's visitors may do straight through PostgREST with the anon key, and no more.
-- Tables: all that role anon could reach; policies on packages, itineraries, destinations, gallery, faqs, blog_posts,
--   testimonials, site_settings, bookings, support_tickets. Existing projects had these open to the whole world: policies
--   for anon or for everybody (public) are dropped, and anon's grants on all tables of the schema are taken back.
--   Policies for `authenticated` stay, as nobody signs in to Supabase on this site.
-- SECURITY DEFINER functions: tg_site_insert__take_limit, because visitors may not see the table of rate limits.
-- Roll back: supabase/rollbacks/20251027000005_add_site_policies.sql (leaves the tables closed, not open as before).

revoke all on all tables in schema public from anon;
revoke all on all sequences in schema public from anon;
do $$
declare
  v_policy record;
begin
  for v_policy in
    select c.relname, p.polname from pg_policy p
    join pg_class c on c.oid = p.polrelid
    where c.relnamespace = 'public'::regnamespace
      and p.polroles && array[0::oid, to_regrole('anon')::oid]
      and c.relname in (
        'packages', 'itineraries', 'destinations', 'gallery', 'faqs', 'blog_posts', 'testimonials', 'site_settings',
        'bookings', 'support_tickets', 'ticket_messages', 'admin_users', 'email_history'
      )
  loop
    execute format('drop policy %I on public.%I', v_policy.polname, v_policy.relname);
  end loop;
end $$;

-- What everybody may read.
drop policy if exists packages_select_anon on public.packages;
create policy packages_select_anon on public.packages for select to anon using (true);
drop policy if exists itineraries_select_anon on public.itineraries;
create policy itineraries_select_anon on public.itineraries for select to anon using (true);
drop policy if exists destinations_select_anon on public.destinations;
create policy destinations_select_anon on public.destinations for select to anon using (true);
drop policy if exists gallery_select_anon on public.gallery;
create policy gallery_select_anon on public.gallery for select to anon using (true);
drop policy if exists faqs_select_anon on public.faqs;
create policy faqs_select_anon on public.faqs for select to anon using (published);
drop policy if exists blog_posts_select_anon on public.blog_posts;
create policy blog_posts_select_anon on public.blog_posts for select to anon using (lower(status) = 'published');
drop policy if exists testimonials_select_anon on public.testimonials;
create policy testimonials_select_anon on public.testimonials for select to anon using (lower(status) = 'published');
drop policy if exists site_settings_select_anon on public.site_settings;
create policy site_settings_select_anon on public.site_settings for select to anon using (
  key in (
    'general_settings', 'social_links', 'hero_slides', 'display_settings', 'seo_settings', 'ui_preferences'
  )
);
grant select on
  public.packages, public.itineraries, public.destinations, public.gallery, public.faqs, public.blog_posts,
  public.testimonials, public.site_settings
  to anon;

-- What visitors may send in. supabase-js asks for the row it wrote, with all columns (`select=*`), so all columns are
-- granted; but visible is only a row that this very transaction made: created_at is now(), the transaction's own time,
-- and visitors have no grant to set it.
drop policy if exists bookings_insert_anon on public.bookings;
create policy bookings_insert_anon on public.bookings for insert to anon with check (true);
drop policy if exists bookings_select_anon on public.bookings;
create policy bookings_select_anon on public.bookings for select to anon using (created_at = now());
grant select on public.bookings to anon;
grant insert (
  name, email, phone, package, travel_date, booking_date, amount, status, message, payment_status, source
) on public.bookings to anon;

drop policy if exists testimonials_insert_anon on public.testimonials;
create policy testimonials_insert_anon on public.testimonials for insert to anon with check (true);
grant insert (name, location, rating, message, status, date, avatar) on public.testimonials to anon;

drop policy if exists support_tickets_insert_anon on public.support_tickets;
create policy support_tickets_insert_anon on public.support_tickets for insert to anon with check (true);
drop policy if exists support_tickets_select_anon on public.support_tickets;
create policy support_tickets_select_anon on public.support_tickets for select to anon using (created_at = now());
grant select on public.support_tickets to anon;
grant insert (subject, customer, email, status, priority, category, assigned_to, last_update)
  on public.support_tickets to anon;

do $$
declare
  v_table text;
  v_sequence text;
begin
  foreach v_table in array array['bookings', 'testimonials', 'support_tickets'] loop
    v_sequence := pg_get_serial_sequence('public.' || v_table, 'id');
    if v_sequence is not null then
      execute format('grant usage on sequence %s to anon', v_sequence);
    end if;
  end loop;
end $$;

-- The address is the visitor's as the service or Supabase's own edge tells it. What a visitor can write himself, like
-- the first entries of X-Forwarded-For, would be a limit of his own choosing.
create or replace function public.visitor_address()
returns text
language sql stable security invoker set search_path = ''
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'visitor',
    headers ->> 'cf-connecting-ip',
    btrim(reverse(split_part(reverse(headers ->> 'x-forwarded-for'), ',', 1))),
    'unknown'
  )
  from (select nullif(current_setting('request.headers', true), '')::jsonb as headers) request;
$$;
comment on function public.visitor_address is
  'IP address of the visitor of this request: as the service vouches for in its token, else as the last proxy saw it.';
revoke all on function public.visitor_address from public, anon, authenticated;
grant execute on function public.visitor_address to service_role;

create or replace function public.tg_site_insert__take_limit() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_message text;
  v_hint text;
  v_detail text;
begin
  perform public.take_rate_limit(
    'site_' || tg_table_name, public.visitor_address(), '[{"count": 20, "seconds": 60}, {"count": 200, "seconds": 3600}]'
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
comment on function public.tg_site_insert__take_limit is
  'Limits what one address may send in straight through PostgREST: 20 rows a minute and 200 an hour per table, else PT429.';
revoke all on function public.tg_site_insert__take_limit from public, anon, authenticated;

create or replace function public.tg_bookings__guard_visitor() returns trigger
language plpgsql security invoker set search_path = ''
as $$
declare
  v_package record;
begin
  if new.travel_date < current_date then
    raise sqlstate 'PT400' using message = 'The travel date is in the past.', hint = 'travel_date_past';
  end if;
  if length(concat(new.name, new.email, new.phone, new.package, new.message, new.source)) > 10000 then
    raise sqlstate 'PT400' using message = 'The booking is too long.', hint = 'too_long';
  end if;
  select p.id, p.price, p.duration into v_package
  from public.packages p where p.title = new.package order by p.id limit 1;
  -- A title that no package has is an enquiry: it costs nothing until staff has named a price, and cannot be paid.
  new.package_id := v_package.id;
  new.number_of_guests := coalesce(new.number_of_guests, 1);
  new.amount := coalesce(v_package.price * new.number_of_guests, 0);
  new.return_date := new.travel_date + coalesce(v_package.duration, 0);
  new.booking_date := current_date;
  new.status := 'Pending';
  new.payment_status := 'Pending';
  new.created_at := now();
  return new;
end $$;
comment on function public.tg_bookings__guard_visitor is
  'A visitor''s booking: the amount is the package''s price, the statuses are Pending, whatever was sent.';
revoke all on function public.tg_bookings__guard_visitor from public, anon, authenticated;

create or replace function public.tg_testimonials__guard_visitor() returns trigger
language plpgsql security invoker set search_path = ''
as $$
begin
  if length(concat(new.name, new.location, new.message, new.avatar)) > 10000 then
    raise sqlstate 'PT400' using message = 'The testimonial is too long.', hint = 'too_long';
  end if;
  new.status := 'pending';
  new.date := current_date;
  return new;
end $$;
comment on function public.tg_testimonials__guard_visitor is 'A visitor''s testimonial waits for staff to publish it.';
revoke all on function public.tg_testimonials__guard_visitor from public, anon, authenticated;

create or replace function public.tg_support_tickets__guard_visitor() returns trigger
language plpgsql security invoker set search_path = ''
as $$
begin
  if length(concat(new.subject, new.customer, new.email, new.category)) > 10000 then
    raise sqlstate 'PT400' using message = 'The ticket is too long.', hint = 'too_long';
  end if;
  new.status := 'Open';
  new.assigned_to := null;
  new.last_update := now();
  new.created_at := now();
  return new;
end $$;
comment on function public.tg_support_tickets__guard_visitor is 'A visitor''s ticket is open and nobody''s yet.';
revoke all on function public.tg_support_tickets__guard_visitor from public, anon, authenticated;

-- Staff and the service are not visitors. Triggers run by name, so the guard does before the limit.
do $$
declare
  v_table text;
begin
  foreach v_table in array array['bookings', 'testimonials', 'support_tickets'] loop
    execute format('drop trigger if exists %I on public.%I', v_table || '_guard_visitor', v_table);
    execute format(
      'create trigger %I before insert on public.%I for each row when (current_user = ''anon'') execute function public.%I()',
      v_table || '_guard_visitor', v_table, 'tg_' || v_table || '__guard_visitor'
    );
    execute format('drop trigger if exists %I on public.%I', v_table || '_take_limit', v_table);
    execute format(
      'create trigger %I before insert on public.%I for each row when (current_user = ''anon'')'
      ' execute function public.tg_site_insert__take_limit()',
      v_table || '_take_limit', v_table
    );
  end loop;
end $$;

notify pgrst, 'reload schema';
