-- Undoes 20251027000002_add_staff_policies.sql. Role staff itself stays, without any right here: other databases of the
-- same server may use it.
drop trigger if exists bookings_guard_staff on public.bookings;
drop trigger if exists bookings_note_payment_insert on public.bookings;
drop trigger if exists bookings_note_payment_update on public.bookings;
drop trigger if exists support_tickets_guard_staff on public.support_tickets;
drop trigger if exists testimonials_guard_staff on public.testimonials;
do $$
declare
  v_policy record;
begin
  if to_regrole('staff') is null then
    return;
  end if;
  for v_policy in
    select c.relname, p.polname from pg_policy p
    join pg_class c on c.oid = p.polrelid
    where c.relnamespace = 'public'::regnamespace and p.polroles && array[to_regrole('staff')::oid]
  loop
    execute format('drop policy %I on public.%I', v_policy.polname, v_policy.relname);
  end loop;
  revoke all on all tables in schema public from staff;
  revoke all on all sequences in schema public from staff;
  revoke all on schema public from staff;
  revoke all on function public.holds_secret, public.mask_secrets, public.is_secret_name from staff;
end $$;
drop function if exists public.tg_bookings__note_payment(), public.tg_guard_staff_columns(), public.staff_can(text);
notify pgrst, 'reload schema';
