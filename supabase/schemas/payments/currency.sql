-- A page offers no way to pay that would refuse the agency's currency.
create or replace function public.list_gateways(p_gateways text[])
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(known.name order by known.place), '[]')
  from unnest(p_gateways) with ordinality known (name, place)
  where not exists (select from app.gateway_currencies where gateway = known.name)
    or exists (
      select from app.gateway_currencies where gateway = known.name and currency = app.booking_currency(null)
    );
$$;
comment on function public.list_gateways is 'Those of the gateways that take the agency''s currency, in the order given.';

-- The agency's currency is set by `flask check` from PAYMENT_CURRENCY, before a release takes traffic; else by the first
-- payment.

create or replace function public.set_agency_currency(p_currency text, p_is_forced boolean default false)
returns void language plpgsql volatile set search_path = '' as $$
declare
  v_old text := (select currency from app.agency for update);
  v_others bigint;
begin
  if v_old = p_currency then
    return;
  end if;
  if not exists (select from app.currencies where code = p_currency) then
    raise sqlstate 'PT400' using message = format('%s is no currency.', p_currency), hint = 'currency_unknown';
  end if;
  select count(*) into v_others from public.bookings where coalesce(nullif(currency, ''), v_old) <> p_currency;
  if v_others > 0 and not p_is_forced then
    raise sqlstate 'PT409' using hint = 'currency_differs', message = format(
      'The database has %s bookings in another currency than %s.', v_others, upper(p_currency)
    );
  end if;
  -- Bookings that never named one were in the old.
  update public.bookings set currency = v_old where v_old is not null and coalesce(currency, '') = '';
  insert into app.agency (currency) values (p_currency) on conflict (is_only_row) do update set currency = p_currency;
  if v_old is null then
    -- What an existing project had noted as paid was counted before its currency was known.
    perform app.act_as('migration', 'in the agency''s currency');
    update public.transactions t
    set currency = p_currency, amount = app.to_minor_units(b.amount, p_currency),
      amount_refunded = case t.status when 'refunded' then app.to_minor_units(b.amount, p_currency) else 0 end
    from public.bookings b
    where b.id = t.booking_id and t.gateway = 'manual' and coalesce(b.currency, '') = '' and t.currency <> p_currency
      and app.to_minor_units(b.amount, p_currency) > 0;
  end if;
  perform public.update_customer_stats(id) from public.customers where deleted_at is null;
end $$;
comment on function public.set_agency_currency is
  'Set the one currency of the agency, ISO 4217 in lower case. PT400 currency_unknown, PT409 currency_differs while bookings '
  'are in another one, unless forced: they keep theirs.';
