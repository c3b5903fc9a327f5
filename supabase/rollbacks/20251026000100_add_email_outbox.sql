-- Undoes 20251026000100_add_email_outbox.sql. Mail that was not sent yet is lost.
drop function if exists public.alert_staff(text, text, text);
drop function if exists public.queue_email(text, text, jsonb, text, uuid);
drop table if exists public.email_outbox;

notify pgrst, 'reload schema';
