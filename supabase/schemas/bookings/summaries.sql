-- A booking as the site reads it, in one place for the customer's list and the public page of one booking. The view runs
-- with the rights of who asks: each role sees the bookings that it may see.

-- The site crashes on a missing status or an amount that is no number, so neither can be null here. A booking that the
-- site wrote by itself has only the title of its package, and finds the package by that.
create or replace view public.booking_summaries with (security_invoker = true) as
select
  b.id,
  b.customer_id,
  coalesce(nullif(b.package, ''), p.title, '') as "packageName",
  coalesce(p.destinations[1], p.title, nullif(b.package, ''), '') as destination,
  b.travel_date as "startDate",
  coalesce(b.return_date, b.travel_date + coalesce(p.duration, 0)) as "endDate",
  coalesce(b.amount, 0)::numeric as "totalPrice",
  coalesce(b.number_of_guests, 1) as guests,
  lower(coalesce(b.status, 'Pending')) as status,
  coalesce(b.payment_status, 'Pending') as "paymentStatus",
  app.booking_currency(b.currency) as currency,
  b.package_id,
  b.travel_date,
  b.return_date,
  coalesce(b.payment_status, 'Pending') as payment_status,
  b.created_at,
  b.special_requests
from public.bookings b
left join lateral (
  select k.title, k.destinations, k.duration
  from public.packages k
  where k.id = b.package_id or (b.package_id is null and k.title = b.package)
  order by k.id
  limit 1
) p on true;
comment on view public.booking_summaries is
  'Bookings in the shape of the API: totalPrice in currency units, endDate from the package''s days where none is set. '
  'special_requests is for the customer''s own view only.';

revoke all on public.booking_summaries from anon, authenticated, service_role;
grant select on public.booking_summaries to service_role, customer;

create or replace function public.get_booking_summary(p_booking_id text)
returns jsonb language sql stable set search_path = '' as $$
  select to_jsonb(s) from public.booking_summaries s where s.id = app.to_booking_key(p_booking_id);
$$;
comment on function public.get_booking_summary is 'A booking as the API answers it, or null.';
