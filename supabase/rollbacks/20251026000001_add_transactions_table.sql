-- Undoes 20251026000001_add_transactions_table.sql. Bookings keep the payment_status they have.
drop table if exists public.transaction_audit_logs;
drop table if exists public.transactions;
drop function if exists public.tg_transactions__sync_booking();
drop function if exists public.tg_transactions__audit();
drop function if exists public.booking_amount(numeric, text);
drop function if exists public.minimum_amount(text);
drop function if exists public.currency_exponent(text);

notify pgrst, 'reload schema';
