-- Undoes 20251026000011_add_payment_functions.sql.
drop function if exists public.renew_payment_attempt(uuid, integer);
drop function if exists public.attach_payment(uuid, text, text);
drop function if exists public.begin_payment(text, uuid, bigint, text, text, text, text, text);
drop function if exists public.open_payment(public.bookings, uuid);
drop function if exists public.check_payable(public.bookings, bigint, text);
drop function if exists public.find_idempotent_payment(text, text, text);
drop function if exists public.supersede_payments(public.booking_key, uuid);

notify pgrst, 'reload schema';
