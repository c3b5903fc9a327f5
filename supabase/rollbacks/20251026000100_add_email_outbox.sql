-- Undoes 20251026000100_add_email_outbox.sql. Mail that was not sent yet is lost.
drop function if exists public.claim_chore(text, integer);
drop function if exists public.email_queue_status();
drop function if exists public.purge_emails();
drop function if exists public.retry_dead_emails(uuid);
drop function if exists public.list_unsent_links();
drop function if exists public.resume_email_queue();
drop function if exists public.pause_email_queue(text);
drop function if exists public.finish_email(uuid, uuid, text, text);
drop function if exists public.claim_email(integer);
drop function if exists public.alert_staff(text, text, text);
drop function if exists public.max_email_attempts();
drop function if exists public.queue_email(text, text, jsonb, text, uuid);
drop table if exists public.worker_chores;
drop table if exists public.email_queue;
drop table if exists public.email_outbox;

notify pgrst, 'reload schema';
