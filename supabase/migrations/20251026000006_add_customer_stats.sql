-- Purpose: what a customer booked, spent and earned, kept current by the rows it follows from.
-- Functions: calculate_loyalty_points, update_customer_stats, tg_update_customer_stats; triggers on bookings and
--   transactions.
-- SECURITY DEFINER functions: none.
-- Roll back: supabase/rollbacks/20251026000006_add_customer_stats.sql

create or replace function public.calculate_loyalty_points(p_customer_id uuid)
returns integer
language sql stable security invoker set search_path = ''
as $$
  select floor(greatest(c.total_spent, 0) / 10)::integer from public.customers c where c.id = p_customer_id;
$$;
comment on function public.calculate_loyalty_points is '1 point for each full 10 currency units really paid.';
revoke all on function public.calculate_loyalty_points from public, anon, authenticated;
grant execute on function public.calculate_loyalty_points to service_role;

-- Always counted anew from the rows, so the figures cannot drift. The lock comes first, in a statement of its own: the
-- counting statements then see what another transaction of the same customer has just committed.
create or replace function public.update_customer_stats(p_customer_id uuid)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_bookings integer;
  v_spent numeric;
begin
  perform from public.customers where id = p_customer_id for no key update;
  select count(*) into v_bookings from public.bookings where customer_id = p_customer_id and status <> 'Cancelled';
  select round(coalesce(sum((amount - amount_refunded) / power(10::numeric, public.currency_exponent(currency))), 0), 2)
  into v_spent
  from public.transactions
  where customer_id = p_customer_id and status in ('completed', 'refunded');
  update public.customers set total_bookings = v_bookings, total_spent = v_spent
  where id = p_customer_id and (total_bookings, total_spent) is distinct from (v_bookings, v_spent);
  update public.customers set loyalty_points = public.calculate_loyalty_points(id)
  where id = p_customer_id and loyalty_points <> public.calculate_loyalty_points(id);
end
$$;
comment on function public.update_customer_stats is
  'Count total_bookings (without cancelled ones), total_spent (payments less refunds) and loyalty_points anew.';
revoke all on function public.update_customer_stats from public, anon, authenticated;
grant execute on function public.update_customer_stats to service_role;

create or replace function public.tg_update_customer_stats()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if tg_op <> 'INSERT' and old.customer_id is not null then
    perform public.update_customer_stats(old.customer_id);
  end if;
  if tg_op <> 'DELETE' and new.customer_id is not null
    and (tg_op = 'INSERT' or new.customer_id is distinct from old.customer_id) then
    perform public.update_customer_stats(new.customer_id);
  end if;
  return null;
end
$$;
comment on function public.tg_update_customer_stats() is 'Keeps the totals of the row''s customer current; "after" triggers.';
revoke all on function public.tg_update_customer_stats() from public, anon, authenticated;

drop trigger if exists tg_bookings__update_customer_stats on public.bookings;
create trigger tg_bookings__update_customer_stats
  after insert or delete or update of customer_id, status on public.bookings
  for each row execute function public.tg_update_customer_stats();

drop trigger if exists tg_transactions__update_customer_stats on public.transactions;
create trigger tg_transactions__update_customer_stats
  after insert or delete or update of customer_id, status, amount, amount_refunded, currency on public.transactions
  for each row execute function public.tg_update_customer_stats();

notify pgrst, 'reload schema';
