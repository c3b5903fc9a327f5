-- What a hosted project grants on everything that its owner makes in public from here on: all of it, to everybody who
-- has a key. What is to be kept from anon and authenticated has to be revoked, or held by row-level security.

alter default privileges for role postgres in schema public
  grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public
  grant all on sequences to postgres, anon, authenticated, service_role;
