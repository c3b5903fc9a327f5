-- Undoes 20251027000001_add_payment_functions.sql. Events, refunds, disputes and idempotency keys are lost.
drop trigger if exists tg_bookings__close_payment on public.bookings;
drop trigger if exists tg_bookings__keep_paid on public.bookings;
drop function if exists
  app.tg_bookings__close_payment, app.tg_bookings__keep_paid,
  public.export_transactions, public.get_payment_desk, app.troubled_refunds, app.describe_booking,
  public.finish_reconciliation, app.payment_backlog, public.list_unknown_events, public.list_payment_work,
  public.get_transaction, public.list_transactions, public.get_booking_payment, app.describe_transaction,
  public.set_agency_currency, app.note_payment_by_hand, public.finish_refund, public.apply_gateway_facts,
  public.record_gateway_event, app.apply_gateway_event, app.lock_event_transaction, app.note_dispute,
  app.move_payment, app.complete_payment, public.release_refund, public.reserve_refund, app.refund_task,
  app.recount_payment, app.settle_doubles, app.refunded_amount,
  app.note_refund, app.tell_of_refund, app.refund_rank, app.refund_unwanted, app.find_repeated_refund, app.tell_of_dispute,
  app.withdrawn_amount, app.dispute_rank, app.tell_of_payment, public.resolve_review, public.claim_payment_work,
  public.forget_gateway_customer, public.keep_gateway_customer, public.note_unconfirmed_payment, app.queue_payment_mail, public.renew_payment_attempt,
  public.attach_payment, public.begin_payment, public.find_capture, public.begin_capture,
  public.list_gateways, public.keep_unverified_event, app.approve_payment, app.payment_ref, app.check_agency_currency, app.open_payment, app.check_payable,
  app.recall_idempotency_key, app.keep_idempotency_key, app.supersede_payments;
drop table if exists
  public.gateway_events, public.unverified_events, public.gateway_customers, public.disputes, public.refunds, public.payment_idempotency_keys;
delete from app.migrations where version = '20251027000001';
notify pgrst, 'reload schema';
