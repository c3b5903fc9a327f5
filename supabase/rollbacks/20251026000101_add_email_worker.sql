-- Undoes 20251026000101_add_email_worker.sql.
drop function if exists public.claim_chore(text, integer);
drop function if exists public.email_queue_status();
drop function if exists public.purge_emails();
drop function if exists public.retry_dead_emails(uuid);
drop function if exists public.list_unsent_links();
drop function if exists public.resume_email_queue();
drop function if exists public.pause_email_queue(text);
drop function if exists public.finish_email(uuid, uuid, text, text);
drop function if exists public.claim_email(integer);
drop function if exists public.max_email_attempts();
drop table if exists public.worker_chores;
drop table if exists public.email_queue;

notify pgrst, 'reload schema';
