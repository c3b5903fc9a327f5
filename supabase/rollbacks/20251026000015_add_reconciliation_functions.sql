-- Undoes 20251026000015_add_reconciliation_functions.sql.
drop function if exists public.finish_reconciliation();
drop function if exists public.payment_backlog();
drop function if exists public.list_unknown_events(text[]);
drop function if exists public.list_payment_work(integer);

notify pgrst, 'reload schema';
