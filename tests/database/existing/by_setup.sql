-- A project made by the original's set-up script and the one that opens its policies: like the other way in most, but for
-- columns that it has not (last_login, assigned_to), other checks and defaults, indexes, and doors open to everybody.
create table admin_users (
  id serial primary key, name text not null, email text not null unique, phone text not null,
  role text not null check (role in ('Admin', 'Manager', 'Guide', 'Support')), avatar text,
  status text default 'Active', created_at timestamptz default now()
);
create table blog_posts (
  id serial primary key, title text not null, excerpt text not null, content text not null, featured_image text not null,
  author text not null, date date default current_date, category text not null, tags text[] default array[]::text[],
  status text not null check (status in ('Published', 'Draft', 'Archived')), views integer default 0, created_at timestamptz default now()
);
create table bookings (
  id serial primary key, name text not null, email text not null, phone text not null, package text not null,
  travel_date date not null, booking_date date default current_date, amount integer not null,
  status text not null check (status in ('Pending', 'Confirmed', 'Cancelled')), message text,
  payment_status text not null constraint bookings_payment_status_check check (payment_status in ('Paid', 'Pending', 'Failed')),
  source text not null, created_at timestamptz default now()
);
create table destinations (
  id serial primary key, name text not null, region text not null, description text not null, image text not null,
  featured boolean default false, created_at timestamptz default now()
);
create table faqs (
  id serial primary key, question text not null, answer text not null, category text not null,
  published boolean default false, created_at timestamptz default now()
);
create table gallery (
  id serial primary key, title text not null, location text not null, image text not null, created_at timestamptz default now()
);
create table packages (
  id serial primary key, title text not null, description text not null, price integer not null, duration integer not null,
  image text not null, destinations text[] not null, featured boolean default false, rating numeric(3, 1) default 0.0,
  accommodations text, included text[] default array[]::text[], excluded text[] default array[]::text[], created_at timestamptz default now()
);
create table itineraries (
  id serial primary key, package_id integer not null references packages (id) on delete cascade, day integer not null,
  title text not null, description text not null, created_at timestamptz default now()
);
create table support_tickets (
  id serial primary key, subject text not null, customer text not null, email text not null,
  status text not null check (status in ('Open', 'In Progress', 'Closed')),
  priority text not null check (priority in ('High', 'Medium', 'Low')), category text not null,
  created_at timestamptz default now(), assigned_to text, last_update timestamptz default now()
);
create table ticket_messages (
  id serial primary key, ticket_id integer not null references support_tickets (id) on delete cascade,
  from_type text not null check (from_type in ('customer', 'agent')), name text not null, message text not null,
  created_at timestamptz default now()
);
create table testimonials (
  id serial primary key, name text not null, avatar text not null, location text not null,
  rating integer not null check (rating between 1 and 5), message text not null,
  status text not null check (status in ('published', 'pending', 'rejected')), date date default current_date,
  created_at timestamptz default now()
);

create index idx_bookings_email on bookings (email);
create index idx_bookings_travel_date on bookings (travel_date);
create index idx_admin_users_role on admin_users (role);

do $$
declare
  v_table text;
begin
  for v_table in select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop
    execute format('alter table %I enable row level security', v_table);
    execute format('create policy "Everybody reads" on %I for select using (true)', v_table);
    execute format('create policy "Everybody writes" on %I for insert with check (true)', v_table);
    execute format('create policy "Everybody changes" on %I for update using (true)', v_table);
    execute format('create policy "Everybody deletes" on %I for delete using (true)', v_table);
  end loop;
end $$;

insert into packages (title, description, price, duration, image, destinations, accommodations, included, excluded)
select 'Old Tour', 'Fjords.', 24999, 5, 'old.jpg', '{Bergen}', 'Hotel', '{Breakfast}', '{Flights}' from generate_series(1, 2);
insert into itineraries (package_id, day, title, description) values (1, 1, 'Bergen', 'Arrival.');
insert into admin_users (name, email, phone, role, status) values
  ('Old Boss', 'boss@old.example', '+91 1', 'Admin', 'Active'), ('Old Guide', 'guide@old.example', '+91 2', 'Guide', 'Active');
insert into bookings (name, email, phone, package, travel_date, booking_date, amount, status, payment_status, source) values
  ('Old Guest', 'Guest@old.example', '', 'Old Tour', '2025-09-01', '2025-06-01', 49998, 'Confirmed', 'Paid', 'Website'),
  ('Old Guest', 'guest@old.example', '', 'Old Tour', '2025-12-01', '2025-06-02', 24999, 'Pending', 'Pending', 'Phone');
insert into testimonials (name, avatar, location, rating, message, status, date)
  values ('Old Guest', 'a.jpg', 'Oslo', 5, 'Fine', 'published', '2025-01-01');
insert into support_tickets (id, subject, customer, email, status, priority, category)
  values (2, 'Visa', 'Old Guest', 'guest@old.example', 'Open', 'High', 'Information');
insert into faqs (question, answer, category, published) values ('Visa?', 'Yes.', 'Travel', true);
insert into gallery (title, location, image) values ('Fjord', 'Bergen', 'fjord.jpg');
insert into destinations (name, region, description, image) values ('Bergen', 'Vestland', 'Rain.', 'bergen.jpg');
insert into blog_posts (title, excerpt, content, featured_image, author, date, category, tags, status)
  values ('Rain', 'Wet.', 'Very wet.', 'rain.jpg', 'Old Boss', '2025-01-01', 'Weather', '{rain}', 'Published');
