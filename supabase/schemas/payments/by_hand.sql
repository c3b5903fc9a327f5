-- Payments that came another way, as staff notes them: transactions of gateway `manual`, so that the booking's
-- payment_status goes on following its transactions alone.

create or replace function app.note_payment_by_hand(
  p_booking_id public.booking_key, p_payment_status text, p_amount numeric, p_reason text
)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_booking public.bookings;
  v_amount bigint;
begin
  perform app.act_as(null, p_reason);
  if p_payment_status = 'Paid' then
    -- Staff's word settles a payment of another amount than the booking's.
    update public.transactions set review_reason = null
    where booking_id = p_booking_id and status = 'completed' and review_reason = 'amount_mismatch';
  elsif p_payment_status in ('Pending', 'Refunded') then
    if exists (
      select from public.transactions
      where booking_id = p_booking_id and gateway <> 'manual' and status = 'completed'
    ) then
      raise sqlstate 'PT409' using hint = 'paid_online',
        message = 'This booking was paid online. Refund the payment, so that the money really goes back.';
    end if;
    update public.transactions
    set status = case p_payment_status when 'Refunded' then 'refunded' else 'pending' end,
      amount_refunded = case p_payment_status when 'Refunded' then amount else 0 end, review_reason = null
    where booking_id = p_booking_id and gateway = 'manual'
      and (status = 'completed' or status = 'refunded' and p_payment_status = 'Pending');
  else
    raise sqlstate 'PT400' using message = 'payment_status must be Paid, Pending or Refunded.', hint = 'validation_failed';
  end if;
  select * into v_booking from public.bookings where id = p_booking_id;
  if v_booking.payment_status <> p_payment_status then
    v_amount := nullif(app.to_minor_units(coalesce(p_amount, v_booking.amount), app.booking_currency(v_booking.currency)), 0);
    if v_amount is null then
      raise sqlstate 'PT400' using message = 'The booking has no amount: please give one.', hint = 'amount_required';
    end if;
    if p_payment_status = 'Paid' then
      perform app.supersede_payments(v_booking.id);
    end if;
    insert into public.transactions (
      booking_id, customer_id, gateway, amount, amount_refunded, currency, status, completed_at
    ) values (
      v_booking.id, v_booking.customer_id, 'manual', v_amount, case p_payment_status when 'Refunded' then v_amount else 0 end,
      app.booking_currency(v_booking.currency),
      case p_payment_status when 'Paid' then 'completed' when 'Refunded' then 'refunded' else 'pending' end,
      case when p_payment_status <> 'Pending' then now() end
    );
    select * into v_booking from public.bookings where id = v_booking.id;
  end if;
  if v_booking.payment_status <> p_payment_status then
    raise sqlstate 'PT409' using hint = 'payments_decide',
      message = format('The payments of this booking say %s.', v_booking.payment_status);
  end if;
end $$;
comment on function app.note_payment_by_hand is
  'What staff knows of a payment made elsewhere, of a locked booking; p_amount in currency units (null: the booking''s). '
  'Raises PT400 amount_required, PT409 paid_online, payments_decide.';
