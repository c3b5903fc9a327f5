-- Undoes 20251026000006_add_customer_stats.sql.
drop trigger if exists tg_bookings__update_customer_stats on public.bookings;
drop trigger if exists tg_transactions__update_customer_stats on public.transactions;
drop function if exists public.tg_update_customer_stats();
drop function if exists public.update_customer_stats(uuid);
drop function if exists public.calculate_loyalty_points(uuid);
notify pgrst, 'reload schema';
