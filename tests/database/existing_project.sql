-- A project as it stood before Phase 1: integer ids, the old check on payment_status, no row-level security, and data.
create table packages (
  id serial primary key, title text, description text, price integer, duration integer, image text,
  destinations text[], featured boolean, rating numeric(3, 1), accommodations text, included text[], excluded text[],
  created_at timestamptz default now()
);
create table itineraries (id serial primary key, package_id integer references packages (id), day integer, title text, description text);
create table admin_users (
  id serial primary key, name text not null, email text not null unique, phone text, role text not null, avatar text,
  status text default 'Active', last_login timestamptz, created_at timestamptz default now()
);
create table bookings (
  id serial primary key, name text not null, email text not null, phone text, package text, travel_date date,
  booking_date date, amount integer, status text default 'Pending', message text,
  payment_status text default 'Pending' constraint odd_name check (payment_status in ('Paid', 'Pending', 'Refunded')),
  source text, assigned_to text, notes text, created_at timestamptz default now()
);
create table destinations (
  id serial primary key, name text, region text, description text, image text, featured boolean, altitude text,
  best_season text, distance text, average_temperature text, accommodation text, difficulty text, attractions text[],
  activities text[], best_for text[], latitude numeric, longitude numeric, created_at timestamptz default now()
);
create table gallery (
  id serial primary key, title text, location text, image text, description text, image_url text, category text
);
create table testimonials (
  id serial primary key, name text, avatar text, image text, location text, rating integer check (rating between 1 and 5),
  message text, status text default 'pending', date date
);
create table site_settings (key text primary key, value jsonb);

insert into packages (title, price, duration, destinations) values ('Old Tour', 450, 5, '{Bergen}');
insert into admin_users (name, email, role) values ('Old Boss', 'boss@old.example', 'Admin');
insert into bookings (name, email, package, travel_date, booking_date, amount, status, payment_status) values
  ('Old Guest', 'guest@old.example', 'Old Tour', '2025-09-01', '2025-06-01', 900, 'Confirmed', 'Paid'),
  ('Old Guest', 'guest@old.example', 'Old Tour', '2025-12-01', '2025-06-02', 450, 'Pending', 'Pending');
insert into testimonials (name, rating, message, status) values ('Old Guest', 5, 'Fine', 'published');
insert into site_settings values ('general_settings', '{"siteName": "Old"}');
