-- Which migrations this database has: each ends by noting itself, whoever applies it by whatever means.

create table if not exists app.migrations (
  version text primary key,
  applied_at timestamptz not null default now()
);
comment on table app.migrations is 'Migrations that were applied; the newest is the version of the schema.';
grant select on app.migrations to service_role;

create or replace function public.applied_migrations()
returns text[] language sql stable set search_path = '' as $$
  select coalesce(array_agg(version order by version), '{}') from app.migrations;
$$;
comment on function public.applied_migrations is
  'The versions of the migrations that were applied, the oldest first. The first of all makes it: a database of any age answers.';
