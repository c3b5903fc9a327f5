-- Undoes 20250605000000_baseline.sql on a database that it filled. Never on a project that had these tables before.
drop table if exists public.bookings, public.admin_users, public.itineraries, public.packages;
drop domain if exists public.booking_key;
notify pgrst, 'reload schema';
