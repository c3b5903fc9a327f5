-- Undoes 20251026000014_add_payment_reading.sql.
drop function if exists public.get_transaction(uuid);
drop function if exists public.list_transactions(integer, integer, text, text, text, timestamptz, timestamptz, text);
drop function if exists public.get_booking_payment(text, uuid);
drop function if exists public.describe_transaction(public.transactions);
drop function if exists public.set_booking_payment_status(text, text, bigint, text, text);
drop function if exists public.raise_card_decides(public.booking_key);
drop policy if exists transactions_select_customer on public.transactions;
revoke select (
  id, booking_id, customer_id, gateway, amount, amount_refunded, currency, status, payment_method, created_at, completed_at
) on public.transactions from customer;

notify pgrst, 'reload schema';
