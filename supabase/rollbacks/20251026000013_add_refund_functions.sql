-- Undoes 20251026000013_add_refund_functions.sql.
drop function if exists public.release_refund(uuid, text, boolean, boolean);
drop function if exists public.finish_refund(uuid, jsonb);
drop function if exists public.reserve_refund(text, bigint, text, text);
drop function if exists public.refund_task(public.refunds);
drop function if exists public.note_dispute(uuid, jsonb);
drop function if exists public.recount_refunds(uuid);
drop function if exists public.note_refund(uuid, jsonb);
drop function if exists public.refund_rank(text);
drop function if exists public.queue_payment_mail(text, uuid, text, jsonb);

notify pgrst, 'reload schema';
