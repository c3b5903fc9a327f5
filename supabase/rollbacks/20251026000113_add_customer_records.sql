-- Undoes 20251026000113_add_customer_records.sql.
drop function if exists public.export_customer(uuid, jsonb);
drop function if exists public.update_preferences(uuid, jsonb, jsonb);
drop function if exists public.delete_address(uuid, uuid, jsonb);
drop function if exists public.save_address(uuid, uuid, jsonb, jsonb);
drop function if exists public.address_json(public.customer_addresses);
drop function if exists public.list_customer_bookings(uuid, integer, integer);
drop function if exists public.update_profile(uuid, jsonb, jsonb);
drop function if exists public.lock_customer(uuid);
notify pgrst, 'reload schema';
