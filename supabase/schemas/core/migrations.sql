-- Which migrations this database has: each ends by noting itself, whoever applies it by whatever means.

create table if not exists app.migrations (
  version text primary key,
  applied_at timestamptz not null default now()
);
comment on table app.migrations is 'Migrations that were applied; the newest is the version of the schema.';
grant select on app.migrations to service_role;
