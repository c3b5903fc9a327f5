-- Purpose: what /api/ready and /api/email-status ask, in one request.
-- Functions: readiness. SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251028000000_add_readiness.sql

-- The schema version is that of the newest migration the service needs: this one states it, and service/health.py
-- expects it. A later migration replaces the function with its own version.
create or replace function public.readiness()
returns jsonb
language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'schema_version', '20251028000000', 'mail', public.email_queue_status(), 'payments', public.payment_backlog()
  );
$$;
comment on function public.readiness is 'The version of the schema and how the outbox and the inbox of payments stand.';
revoke all on function public.readiness from public, anon, authenticated;
grant execute on function public.readiness to service_role;

notify pgrst, 'reload schema';
