-- Undoes 20251027000002_add_booking_functions.sql.
drop trigger if exists tg_bookings__note_payment_insert on public.bookings;
drop trigger if exists tg_bookings__note_payment_update on public.bookings;
drop function if exists
  public.delete_bookings, public.delete_booking, app.tg_bookings__note_payment, public.update_booking_payment,
  public.update_booking, public.create_booking;
delete from app.migrations where version = '20251027000002';
notify pgrst, 'reload schema';
