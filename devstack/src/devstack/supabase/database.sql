-- The schemas of a hosted Supabase project before its first migration, and the functions in them that policies call. Run
-- once per database, as the superuser; after roles.sql.

grant usage on schema public to anon, authenticated, service_role;

create schema extensions;
grant usage on schema extensions to postgres, anon, authenticated, service_role;
grant create on schema extensions to postgres;

-- Supabase's own schemas: they belong to roles of Supabase, and the owner of the project may put nothing into them.
create schema auth;
create schema storage;
create schema graphql_public;
grant usage on schema auth, storage, graphql_public to postgres, anon, authenticated, service_role;

-- Inlined by the planner, as Supabase's own are; after a first transaction the setting is '' and no longer null.
create function auth.jwt() returns jsonb language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create function auth.uid() returns uuid language sql stable as
  $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;
create function auth.email() returns text language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email' $$;
