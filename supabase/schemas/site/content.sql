-- What the site's pages show: packages and their days, destinations, pictures, what travellers say, questions, articles.
-- Everybody reads what is published; staff writes, each verb with a permission of its own.

create table if not exists public.packages (id serial primary key);
alter table public.packages
  add column if not exists title text not null,
  add column if not exists description text,
  add column if not exists price numeric(12, 2) not null default 0,
  add column if not exists duration integer default 1,
  add column if not exists image text,
  add column if not exists destinations text[] not null default '{}',
  add column if not exists featured boolean not null default false,
  add column if not exists rating numeric(3, 1),
  add column if not exists accommodations text,
  add column if not exists included text[] not null default '{}',
  add column if not exists excluded text[] not null default '{}',
  add column if not exists created_at timestamptz not null default now(),
  alter column price set default 0,
  alter column duration set default 1,
  alter column destinations set default '{}',
  alter column featured set default false,
  alter column included set default '{}',
  alter column excluded set default '{}',
  alter column created_at set default now();
comment on table public.packages is 'Travel packages as the site sells them; price per guest in currency units.';
call app.keep_cents('public.packages', 'price');
call app.fill_text('public.packages');
call app.bound_line('public.packages', 'title', 1, 300);
call app.bound_text('public.packages', 'description', 20000);
call app.bound_number('public.packages', 'price', 0, 9999999.99);
call app.bound_number('public.packages', 'duration', 1, 365);
call app.bound_line('public.packages', 'image', 0, 900000);
call app.bound_lines('public.packages', 'destinations', 500);
call app.bound_number('public.packages', 'rating', 0, 5);
call app.bound_text('public.packages', 'accommodations', 20000);
call app.bound_lines('public.packages', 'included', 500);
call app.bound_lines('public.packages', 'excluded', 500);

call app.close_table('public.packages');
create policy packages_select_anon on public.packages for select to anon using (true);
create policy packages_select_customer on public.packages for select to customer using (true);
create policy packages_select_staff on public.packages for select to staff
  using (true);
create policy packages_insert_staff on public.packages for insert to staff
  with check ((select app.staff_can('packages_create')));
create policy packages_update_staff on public.packages for update to staff
  using ((select app.staff_can('packages_edit')));
create policy packages_delete_staff on public.packages for delete to staff
  using ((select app.staff_can('packages_delete')));
grant select, insert, update, delete on public.packages to service_role, staff;
create or replace trigger tg_packages__refuse_staff before insert or update or delete on public.packages
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.packages to anon, customer;
call app.grant_sequence('public.packages', 'service_role', 'staff');

create table if not exists public.itineraries (id serial primary key);
alter table public.itineraries
  add column if not exists package_id integer not null references public.packages (id) on delete cascade,
  add column if not exists day integer not null,
  add column if not exists title text not null,
  add column if not exists description text;
comment on table public.itineraries is 'What happens on each day of a package.';
create index if not exists itineraries_package_id_idx on public.itineraries (package_id);
call app.fill_text('public.itineraries');
call app.bound_number('public.itineraries', 'day', 1, 365);
call app.bound_line('public.itineraries', 'title', 1, 300);
call app.bound_text('public.itineraries', 'description', 20000);

call app.close_table('public.itineraries');
create policy itineraries_select_anon on public.itineraries for select to anon using (true);
create policy itineraries_select_staff on public.itineraries for select to staff
  using (true);
create policy itineraries_insert_staff on public.itineraries for insert to staff
  with check ((select app.staff_can('packages_create')) or (select app.staff_can('packages_edit')));
create policy itineraries_update_staff on public.itineraries for update to staff
  using ((select app.staff_can('packages_edit')));
create policy itineraries_delete_staff on public.itineraries for delete to staff
  using ((select app.staff_can('packages_edit')) or (select app.staff_can('packages_delete')));
grant select, insert, update, delete on public.itineraries to service_role, staff;
create or replace trigger tg_itineraries__refuse_staff before insert or update or delete on public.itineraries
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.itineraries to anon;
call app.grant_sequence('public.itineraries', 'service_role', 'staff');

create table if not exists public.destinations (id serial primary key);
alter table public.destinations
  add column if not exists name text not null,
  add column if not exists region text,
  add column if not exists description text,
  add column if not exists image text,
  add column if not exists featured boolean not null default false,
  add column if not exists altitude integer,
  add column if not exists best_season text,
  add column if not exists distance integer,
  add column if not exists average_temperature text,
  add column if not exists accommodation text,
  add column if not exists difficulty text,
  add column if not exists attractions text[] not null default '{}',
  add column if not exists activities text[] not null default '{}',
  add column if not exists best_for text[] not null default '{}',
  add column if not exists latitude double precision,
  add column if not exists longitude double precision,
  add column if not exists created_at timestamptz not null default now(),
  alter column featured set default false,
  alter column attractions set default '{}',
  alter column activities set default '{}',
  alter column best_for set default '{}',
  alter column created_at set default now();
comment on table public.destinations is 'Places that the site describes. Altitude in metres, distance in km from the nearest city, both axes in degrees.';
call app.fill_text('public.destinations');
call app.bound_line('public.destinations', 'name', 1, 300);
call app.bound_line('public.destinations', 'region', 0, 300);
call app.bound_text('public.destinations', 'description', 20000);
call app.bound_line('public.destinations', 'image', 0, 900000);
call app.bound_number('public.destinations', 'altitude', -500, 9000);
call app.bound_line('public.destinations', 'best_season', 0, 300);
call app.bound_number('public.destinations', 'distance', 0, 50000);
call app.bound_line('public.destinations', 'average_temperature', 0, 300);
call app.bound_line('public.destinations', 'accommodation', 0, 300);
call app.bound_line('public.destinations', 'difficulty', 0, 300);
call app.bound_lines('public.destinations', 'attractions', 500);
call app.bound_lines('public.destinations', 'activities', 500);
call app.bound_lines('public.destinations', 'best_for', 500);
call app.bound_number('public.destinations', 'latitude', -90, 90);
call app.bound_number('public.destinations', 'longitude', -180, 180);

call app.close_table('public.destinations');
create policy destinations_select_anon on public.destinations for select to anon using (true);
create policy destinations_select_staff on public.destinations for select to staff
  using (true);
create policy destinations_insert_staff on public.destinations for insert to staff
  with check ((select app.staff_can('destinations_create')));
create policy destinations_update_staff on public.destinations for update to staff
  using ((select app.staff_can('destinations_edit')));
create policy destinations_delete_staff on public.destinations for delete to staff
  using ((select app.staff_can('destinations_delete')));
grant select, insert, update, delete on public.destinations to service_role, staff;
create or replace trigger tg_destinations__refuse_staff before insert or update or delete on public.destinations
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.destinations to anon;
call app.grant_sequence('public.destinations', 'service_role', 'staff');

create table if not exists public.gallery (id serial primary key);
alter table public.gallery
  add column if not exists title text not null,
  add column if not exists location text,
  add column if not exists image text,
  add column if not exists description text,
  add column if not exists image_url text,
  add column if not exists category text,
  add column if not exists created_at timestamptz not null default now(),
  alter column created_at set default now();
comment on table public.gallery is 'Pictures of the gallery page.';
create or replace trigger tg_gallery__keep_in_step before insert or update on public.gallery
  for each row execute function app.tg_keep_in_step('image', 'image_url');
call app.fill_text('public.gallery');
call app.bound_line('public.gallery', 'title', 1, 300);
call app.bound_line('public.gallery', 'location', 0, 300);
call app.bound_line('public.gallery', 'image', 0, 900000);
call app.bound_text('public.gallery', 'description', 20000);
call app.bound_line('public.gallery', 'image_url', 0, 900000);
call app.bound_line('public.gallery', 'category', 0, 300);

call app.close_table('public.gallery');
create policy gallery_select_anon on public.gallery for select to anon using (true);
create policy gallery_select_staff on public.gallery for select to staff
  using (true);
create policy gallery_insert_staff on public.gallery for insert to staff
  with check ((select app.staff_can('gallery_create')));
create policy gallery_update_staff on public.gallery for update to staff
  using ((select app.staff_can('gallery_edit')));
create policy gallery_delete_staff on public.gallery for delete to staff
  using ((select app.staff_can('gallery_delete')));
grant select, insert, update, delete on public.gallery to service_role, staff;
create or replace trigger tg_gallery__refuse_staff before insert or update or delete on public.gallery
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.gallery to anon;
call app.grant_sequence('public.gallery', 'service_role', 'staff');

create table if not exists public.testimonials (id serial primary key);
alter table public.testimonials
  add column if not exists name text not null,
  add column if not exists avatar text,
  add column if not exists image text,
  add column if not exists location text,
  add column if not exists rating integer not null default 5,
  add column if not exists message text not null,
  add column if not exists status text not null default 'pending',
  add column if not exists date date default current_date,
  add column if not exists created_at timestamptz not null default now(),
  alter column rating set default 5,
  alter column status set default 'pending',
  alter column date set default current_date,
  alter column created_at set default now();
comment on table public.testimonials is 'What travellers say; shown once staff has published it.';
call app.fill_text('public.testimonials');
call app.bound_line('public.testimonials', 'name', 1, 300);
call app.bound_line('public.testimonials', 'avatar', 0, 900000);
call app.bound_line('public.testimonials', 'image', 0, 900000);
call app.bound_line('public.testimonials', 'location', 0, 300);
call app.bound_number('public.testimonials', 'rating', 1, 5);
call app.bound_text('public.testimonials', 'message', 20000);
call app.bound_choice('public.testimonials', 'status', 'published', 'pending', 'rejected');

call app.close_table('public.testimonials');
create policy testimonials_select_anon on public.testimonials for select to anon using (lower(status) = 'published');
create policy testimonials_insert_anon on public.testimonials for insert to anon with check (status = 'pending');
create policy testimonials_select_staff on public.testimonials for select to staff
  using ((select app.staff_can('testimonials_view')));
create policy testimonials_insert_staff on public.testimonials for insert to staff
  with check ((select app.staff_can('testimonials_create')));
create policy testimonials_update_staff on public.testimonials for update to staff
  using ((select app.staff_can('testimonials_edit')) or (select app.staff_can('testimonials_approve')));
create policy testimonials_delete_staff on public.testimonials for delete to staff
  using ((select app.staff_can('testimonials_delete')));
grant select, insert, update, delete on public.testimonials to service_role, staff;
create or replace trigger tg_testimonials__refuse_staff before insert or update or delete on public.testimonials
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.testimonials to anon;
grant insert (name, location, rating, message, status, date, avatar) on public.testimonials to anon;
call app.grant_sequence('public.testimonials', 'service_role', 'staff', 'anon');
create or replace trigger tg_testimonials__guard_columns before insert or update on public.testimonials
  for each row when (current_user = 'staff') execute function app.tg_guard_columns();

create or replace function app.tg_testimonials__guard_visitor()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.status := 'pending';
  new.date := current_date;
  return new;
end $$;
comment on function app.tg_testimonials__guard_visitor is 'A visitor''s testimonial waits for staff to publish it.';

create or replace trigger tg_testimonials__guard_visitor before insert on public.testimonials
  for each row when (current_user = 'anon') execute function app.tg_testimonials__guard_visitor();
create or replace trigger tg_testimonials__limit_visitor before insert on public.testimonials
  for each row when (current_user = 'anon') execute function app.tg_limit_visitor();

create table if not exists public.faqs (id serial primary key);
alter table public.faqs
  add column if not exists question text not null,
  add column if not exists answer text not null,
  add column if not exists category text,
  add column if not exists published boolean not null default true,
  add column if not exists created_at timestamptz not null default now(),
  alter column published set default true,
  alter column created_at set default now();
comment on table public.faqs is 'Questions and answers of the help page.';
call app.fill_text('public.faqs');
call app.bound_line('public.faqs', 'question', 1, 1000);
call app.bound_text('public.faqs', 'answer', 20000);
call app.bound_line('public.faqs', 'category', 0, 300);

call app.close_table('public.faqs');
create policy faqs_select_anon on public.faqs for select to anon using (published);
create policy faqs_select_staff on public.faqs for select to staff
  using ((select app.staff_can('faq_view')));
create policy faqs_insert_staff on public.faqs for insert to staff
  with check ((select app.staff_can('faq_create')));
create policy faqs_update_staff on public.faqs for update to staff
  using ((select app.staff_can('faq_edit')));
create policy faqs_delete_staff on public.faqs for delete to staff
  using ((select app.staff_can('faq_delete')));
grant select, insert, update, delete on public.faqs to service_role, staff;
create or replace trigger tg_faqs__refuse_staff before insert or update or delete on public.faqs
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.faqs to anon;
call app.grant_sequence('public.faqs', 'service_role', 'staff');

create table if not exists public.blog_posts (id serial primary key);
alter table public.blog_posts
  add column if not exists title text not null,
  add column if not exists excerpt text,
  add column if not exists content text,
  add column if not exists featured_image text,
  add column if not exists author text,
  add column if not exists date date default current_date,
  add column if not exists category text,
  add column if not exists tags text[] not null default '{}',
  add column if not exists status text not null default 'Draft',
  add column if not exists image text,
  add column if not exists published boolean,
  add column if not exists views integer not null default 0,
  add column if not exists created_at timestamptz not null default now(),
  alter column date set default current_date,
  alter column tags set default '{}',
  alter column status set default 'Draft',
  alter column views set default 0,
  alter column created_at set default now();
comment on table public.blog_posts is 'Articles; shown while their status is Published.';
create or replace trigger tg_blog_posts__keep_in_step before insert or update on public.blog_posts
  for each row execute function app.tg_keep_in_step('featured_image', 'image');

-- One page publishes by the status, the other by a check box.
create or replace function app.tg_blog_posts__publish()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and new.published is distinct from old.published and new.status = old.status then
    new.status := case when new.published then 'Published' else 'Draft' end;
  end if;
  new.published := new.status = 'Published';
  return new;
end $$;
comment on function app.tg_blog_posts__publish is 'Keeps published and status in step.';
create or replace trigger tg_blog_posts__publish before insert or update on public.blog_posts
  for each row execute function app.tg_blog_posts__publish();
update public.blog_posts set status = status where published is null or coalesce(image, '') = '';
call app.fill_text('public.blog_posts');
call app.bound_line('public.blog_posts', 'title', 1, 300);
call app.bound_text('public.blog_posts', 'excerpt', 20000);
call app.bound_text('public.blog_posts', 'content', 200000);
call app.bound_line('public.blog_posts', 'featured_image', 0, 900000);
call app.bound_line('public.blog_posts', 'image', 0, 900000);
call app.bound_line('public.blog_posts', 'author', 0, 300);
call app.bound_line('public.blog_posts', 'category', 0, 300);
call app.bound_lines('public.blog_posts', 'tags', 500);
call app.bound_choice('public.blog_posts', 'status', 'Published', 'Draft', 'Archived');
call app.bound_number('public.blog_posts', 'views', 0, 2147483647);

call app.close_table('public.blog_posts');
create policy blog_posts_select_anon on public.blog_posts for select to anon using (lower(status) = 'published');
create policy blog_posts_select_staff on public.blog_posts for select to staff
  using ((select app.staff_can('blog_view')));
create policy blog_posts_insert_staff on public.blog_posts for insert to staff
  with check ((select app.staff_can('blog_create')));
create policy blog_posts_update_staff on public.blog_posts for update to staff
  using ((select app.staff_can('blog_edit')));
create policy blog_posts_delete_staff on public.blog_posts for delete to staff
  using ((select app.staff_can('blog_delete')));
grant select, insert, update, delete on public.blog_posts to service_role, staff;
create or replace trigger tg_blog_posts__refuse_staff before insert or update or delete on public.blog_posts
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select on public.blog_posts to anon;
call app.grant_sequence('public.blog_posts', 'service_role', 'staff');
