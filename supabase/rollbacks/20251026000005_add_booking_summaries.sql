-- Undoes 20251026000005_add_booking_summaries.sql.
drop view if exists public.booking_summaries;
notify pgrst, 'reload schema';
