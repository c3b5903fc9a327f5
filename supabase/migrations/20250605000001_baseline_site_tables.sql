-- The other tables that the site has had before Phase 1: what its pages show, what its visitors send in, its settings.
--
-- Tables: destinations, gallery, testimonials, faqs, blog_posts, support_tickets, ticket_messages, site_settings,
--   email_history. A fresh project gets them here. On an existing one each statement finds its table and adds only
--   those columns that the policies and triggers of later files read, where they are missing.
-- Functions: none.
-- Roll back: supabase/rollbacks/20250605000001_baseline_site_tables.sql (drops the tables; never on an existing project).

create table if not exists public.destinations (
  id serial primary key,
  name text not null,
  region text,
  description text,
  image text,
  featured boolean not null default false,
  altitude text,
  best_season text,
  distance text,
  average_temperature text,
  accommodation text,
  difficulty text,
  attractions text[] not null default '{}',
  activities text[] not null default '{}',
  best_for text[] not null default '{}',
  latitude double precision,
  longitude double precision,
  created_at timestamptz not null default now()
);
comment on table public.destinations is 'Places that the site describes. Latitude and longitude in degrees.';

create table if not exists public.gallery (
  id serial primary key,
  title text not null,
  location text,
  image text,
  description text,
  image_url text,
  category text,
  created_at timestamptz not null default now()
);
comment on table public.gallery is 'Pictures of the gallery page.';

create table if not exists public.testimonials (
  id serial primary key,
  name text not null,
  avatar text,
  image text,
  location text,
  rating integer not null default 5 constraint testimonials_rating_check check (rating between 1 and 5),
  message text not null,
  status text not null default 'pending'
    constraint testimonials_status_check check (status in ('published', 'pending', 'rejected')),
  date date default current_date,
  created_at timestamptz not null default now()
);
comment on table public.testimonials is 'What travellers say; shown once staff has published it.';

create table if not exists public.faqs (
  id serial primary key,
  question text not null,
  answer text not null,
  category text,
  published boolean not null default true,
  created_at timestamptz not null default now()
);
comment on table public.faqs is 'Questions and answers of the help page.';

create table if not exists public.blog_posts (
  id serial primary key,
  title text not null,
  excerpt text,
  content text,
  featured_image text,
  author text,
  date date default current_date,
  category text,
  tags text[] not null default '{}',
  status text not null default 'Draft' constraint blog_posts_status_check check (status in ('Published', 'Draft')),
  views integer not null default 0,
  created_at timestamptz not null default now()
);
comment on table public.blog_posts is 'Articles; shown while their status is Published.';

create table if not exists public.support_tickets (
  id serial primary key,
  subject text not null,
  customer text not null,
  email text not null,
  status text not null default 'Open'
    constraint support_tickets_status_check check (status in ('Open', 'In Progress', 'Closed')),
  priority text not null default 'Medium'
    constraint support_tickets_priority_check check (priority in ('High', 'Medium', 'Low')),
  category text,
  assigned_to text,
  last_update timestamptz not null default now(),
  created_at timestamptz not null default now()
);
comment on table public.support_tickets is 'What visitors ask for help with.';

create table if not exists public.ticket_messages (
  id serial primary key,
  ticket_id integer not null references public.support_tickets (id) on delete cascade,
  from_type text not null default 'customer'
    constraint ticket_messages_from_type_check check (from_type in ('customer', 'agent')),
  name text,
  message text not null,
  created_at timestamptz not null default now()
);
comment on table public.ticket_messages is 'The talk about a ticket.';
create index if not exists ticket_messages_ticket_id_idx on public.ticket_messages (ticket_id);

create table if not exists public.site_settings (
  key text primary key,
  value jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table public.site_settings is 'One row per group of settings of the site.';

create table if not exists public.email_history (
  id serial primary key,
  recipient_email text not null,
  recipient_name text,
  subject text,
  body text,
  email_type text,
  related_to text,
  related_id text,
  status text not null default 'pending',
  sent_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table public.email_history is
  'Mails as the site''s staff pages note them. What this service really sends is in email_outbox.';

-- What later files read, on projects whose tables are older than it.
alter table public.gallery add column if not exists created_at timestamptz not null default now();
alter table public.testimonials
  add column if not exists status text not null default 'pending',
  add column if not exists date date default current_date,
  add column if not exists created_at timestamptz not null default now();
alter table public.faqs add column if not exists published boolean not null default true;
alter table public.blog_posts add column if not exists status text not null default 'Draft';
alter table public.support_tickets
  add column if not exists assigned_to text,
  add column if not exists last_update timestamptz default now(),
  add column if not exists created_at timestamptz not null default now();
alter table public.site_settings add column if not exists updated_at timestamptz not null default now();
create index if not exists support_tickets_created_at_idx on public.support_tickets (created_at);
do $$
begin
  -- Settings are saved by key, which an existing table may have beside an id of its own.
  if not exists (
    select from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.site_settings'::regclass and i.indisunique and i.indnatts = 1 and a.attname = 'key'
  ) then
    create unique index site_settings_key_idx on public.site_settings (key);
  end if;
end $$;

alter table public.destinations enable row level security;
alter table public.gallery enable row level security;
alter table public.testimonials enable row level security;
alter table public.faqs enable row level security;
alter table public.blog_posts enable row level security;
alter table public.support_tickets enable row level security;
alter table public.ticket_messages enable row level security;
alter table public.site_settings enable row level security;
alter table public.email_history enable row level security;

grant select, insert, update, delete on
  public.destinations, public.gallery, public.testimonials, public.faqs, public.blog_posts,
  public.support_tickets, public.ticket_messages, public.site_settings, public.email_history
  to service_role;
do $$
declare
  v_table text;
  v_sequence text;
begin
  foreach v_table in array array[
    'destinations', 'gallery', 'testimonials', 'faqs', 'blog_posts', 'support_tickets', 'ticket_messages', 'email_history'
  ] loop
    v_sequence := pg_get_serial_sequence('public.' || v_table, 'id');
    if v_sequence is not null then
      execute format('grant usage on sequence %s to service_role', v_sequence);
    end if;
  end loop;
end $$;

notify pgrst, 'reload schema';
