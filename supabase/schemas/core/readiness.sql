-- What /api/ready and /api/email-status ask, in one request.

create or replace function public.readiness()
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'migrations', public.applied_migrations(), 'currency', (select currency from app.agency),
    'mail', public.email_queue_status(), 'payments', app.payment_backlog()
  );
$$;
comment on function public.readiness is 'The applied migrations, the agency''s currency, and how the outbox and the inbox of payments stand.';
