-- Undoes 20251026000111_add_customer_registration.sql.
drop function if exists public.vouch_for_customer(text, text);
drop function if exists public.verify_email(uuid, text, jsonb);
drop function if exists public.mark_verified(uuid);
drop function if exists public.check_email_token(timestamptz, timestamptz, timestamptz);
drop function if exists public.mint_email_token(uuid, text, integer);
drop function if exists public.request_verification_mail(text, jsonb, jsonb);
drop function if exists public.register_customer(text, text, text, text, integer, jsonb);
notify pgrst, 'reload schema';
