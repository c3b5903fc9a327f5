-- What a customer booked, spent and earned, kept current by the rows it follows from.

-- The original's migrations leave these behind although the tables that they ask were never made.
drop function if exists public.calculate_loyalty_points(integer), public.update_customer_stats(integer);

create or replace function public.calculate_loyalty_points(p_customer_id uuid)
returns integer language sql stable set search_path = '' as $$
  select floor(greatest(c.total_spent, 0) / 10)::integer from public.customers c where c.id = p_customer_id;
$$;
comment on function public.calculate_loyalty_points(uuid) is '1 point for each full 10 currency units really paid.';

-- Always counted anew from the rows, so the figures cannot drift. The lock comes first, in a statement of its own: the
-- counting statements then see what another transaction of the same customer has just committed.
create or replace function public.update_customer_stats(p_customer_id uuid)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_bookings integer;
  v_spent numeric;
begin
  perform from public.customers where id = p_customer_id for no key update;
  select count(*) into v_bookings from public.bookings where customer_id = p_customer_id and status <> 'Cancelled';
  select round(coalesce(sum(app.to_units(amount_left, currency)), 0), 2) into v_spent
  from public.transactions
  where customer_id = p_customer_id and status = 'completed' and currency = app.booking_currency(null);
  update public.customers set total_bookings = v_bookings, total_spent = v_spent
  where id = p_customer_id and (total_bookings, total_spent) is distinct from (v_bookings, v_spent);
  update public.customers set loyalty_points = public.calculate_loyalty_points(id)
  where id = p_customer_id and loyalty_points <> public.calculate_loyalty_points(id);
end $$;
comment on function public.update_customer_stats(uuid) is
  'Count total_bookings (without cancelled ones), total_spent (payments less what went back, in the agency''s currency) and '
  'loyalty_points anew.';

-- Definer: staff changes a booking's status, and neither counts nor sees customers.
create or replace function app.tg_update_customer_stats()
returns trigger language plpgsql volatile security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and old.customer_id <> new.customer_id then
    -- In the same order whichever way a row is handed over, so that two of them do not wait for each other.
    perform from public.customers where id in (old.customer_id, new.customer_id) order by id for no key update;
  end if;
  if tg_op <> 'INSERT' and old.customer_id is not null then
    perform public.update_customer_stats(old.customer_id);
  end if;
  if tg_op <> 'DELETE' and new.customer_id is not null
    and (tg_op = 'INSERT' or new.customer_id is distinct from old.customer_id) then
    perform public.update_customer_stats(new.customer_id);
  end if;
  return null;
end $$;
comment on function app.tg_update_customer_stats is
  'Keeps the totals of the row''s customer current; "after" triggers.';

create or replace trigger tg_bookings__update_customer_stats
  after insert or delete or update of customer_id, status on public.bookings
  for each row execute function app.tg_update_customer_stats();
create or replace trigger tg_transactions__update_customer_stats
  after insert or delete or update of customer_id, status, amount, amount_refunded, amount_withdrawn, currency
  on public.transactions
  for each row execute function app.tg_update_customer_stats();
