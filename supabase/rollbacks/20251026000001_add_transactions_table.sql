-- Undoes 20251026000001_add_transactions_table.sql. The record of payments is lost; bookings keep the payment_status they have.
drop table if exists
  public.transaction_audit_logs, public.transactions;
drop function if exists
  app.tg_transactions__sync_booking, app.tg_transactions__audit;
delete from app.migrations where version = '20251026000001';
notify pgrst, 'reload schema';
