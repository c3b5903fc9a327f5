-- Undoes 20251027000004_add_booking_functions.sql.
drop function if exists
  public.delete_bookings(text[]),
  public.delete_booking(text),
  public.update_booking_payment(text, text, numeric, text),
  public.update_booking(text, jsonb, text),
  public.get_booking_summary(text),
  public.create_booking(jsonb, uuid, text, jsonb, text);
notify pgrst, 'reload schema';
