-- Currencies and how their amounts are counted, once for SQL, mails and the local Stripe.
-- Source: docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies", "Special cases" (ISK and
-- UGX have no decimals and are written with two), "Minimum and maximum charge amounts".

create table if not exists app.currencies (
  code text primary key constraint currencies_code_check check (code ~ '^[a-z]{3}$'),
  exponent smallint not null,
  step smallint not null
);
comment on table app.currencies is 'Currencies that can be charged, ISO 4217 in lower case.';
comment on column app.currencies.exponent is 'Decimal digits of the minor unit.';
comment on column app.currencies.step is 'Amounts are multiples of it, in minor units.';
grant select on app.currencies to service_role, customer, staff;

insert into app.currencies (code, exponent, step) values
  ('aed', 2, 1), ('afn', 2, 1), ('all', 2, 1), ('amd', 2, 1), ('ang', 2, 1), ('aoa', 2, 1), ('ars', 2, 1), ('aud', 2, 1),
  ('awg', 2, 1), ('azn', 2, 1), ('bam', 2, 1), ('bbd', 2, 1), ('bdt', 2, 1), ('bgn', 2, 1), ('bhd', 3, 10), ('bif', 0, 1),
  ('bmd', 2, 1), ('bnd', 2, 1), ('bob', 2, 1), ('brl', 2, 1), ('bsd', 2, 1), ('bwp', 2, 1), ('byn', 2, 1), ('bzd', 2, 1),
  ('cad', 2, 1), ('cdf', 2, 1), ('chf', 2, 1), ('clp', 0, 1), ('cny', 2, 1), ('cop', 2, 1), ('crc', 2, 1), ('cve', 2, 1),
  ('czk', 2, 1), ('djf', 0, 1), ('dkk', 2, 1), ('dop', 2, 1), ('dzd', 2, 1), ('egp', 2, 1), ('etb', 2, 1), ('eur', 2, 1),
  ('fjd', 2, 1), ('fkp', 2, 1), ('gbp', 2, 1), ('gel', 2, 1), ('gip', 2, 1), ('gmd', 2, 1), ('gnf', 0, 1), ('gtq', 2, 1),
  ('gyd', 2, 1), ('hkd', 2, 1), ('hnl', 2, 1), ('htg', 2, 1), ('huf', 2, 1), ('idr', 2, 1), ('ils', 2, 1), ('inr', 2, 1),
  ('isk', 2, 100), ('jmd', 2, 1), ('jod', 3, 10), ('jpy', 0, 1), ('kes', 2, 1), ('kgs', 2, 1), ('khr', 2, 1), ('kmf', 0, 1),
  ('krw', 0, 1), ('kwd', 3, 10), ('kyd', 2, 1), ('kzt', 2, 1), ('lak', 2, 1), ('lbp', 2, 1), ('lkr', 2, 1), ('lrd', 2, 1),
  ('lsl', 2, 1), ('mad', 2, 1), ('mdl', 2, 1), ('mga', 0, 1), ('mkd', 2, 1), ('mmk', 2, 1), ('mnt', 2, 1), ('mop', 2, 1),
  ('mur', 2, 1), ('mvr', 2, 1), ('mwk', 2, 1), ('mxn', 2, 1), ('myr', 2, 1), ('mzn', 2, 1), ('nad', 2, 1), ('ngn', 2, 1),
  ('nio', 2, 1), ('nok', 2, 1), ('npr', 2, 1), ('nzd', 2, 1), ('omr', 3, 10), ('pab', 2, 1), ('pen', 2, 1), ('pgk', 2, 1),
  ('php', 2, 1), ('pkr', 2, 1), ('pln', 2, 1), ('pyg', 0, 1), ('qar', 2, 1), ('ron', 2, 1), ('rsd', 2, 1), ('rub', 2, 1),
  ('rwf', 0, 1), ('sar', 2, 1), ('sbd', 2, 1), ('scr', 2, 1), ('sek', 2, 1), ('sgd', 2, 1), ('shp', 2, 1), ('sle', 2, 1),
  ('sos', 2, 1), ('srd', 2, 1), ('std', 2, 1), ('szl', 2, 1), ('thb', 2, 1), ('tjs', 2, 1), ('tnd', 3, 10), ('top', 2, 1),
  ('try', 2, 1), ('ttd', 2, 1), ('twd', 2, 1), ('tzs', 2, 1), ('uah', 2, 1), ('ugx', 2, 100), ('usd', 2, 1), ('uyu', 2, 1),
  ('uzs', 2, 1), ('vnd', 0, 1), ('vuv', 0, 1), ('wst', 2, 1), ('xaf', 0, 1), ('xcd', 2, 1), ('xof', 0, 1), ('xpf', 0, 1),
  ('yer', 2, 1), ('zar', 2, 1), ('zmw', 2, 1)
on conflict (code) do update set exponent = excluded.exponent, step = excluded.step;

-- What a gateway takes. Of one without rows here every currency is asked for, and it decides itself.
-- Sources: docs.stripe.com/currencies; developer.paypal.com/api/rest/reference/currency-codes (HUF, JPY and TWD without
-- decimals); razorpay.com/docs/payments/international-payments (supported currencies; INR from 1.00).
create table if not exists app.gateway_currencies (
  gateway text not null,
  currency text not null references app.currencies (code),
  step smallint not null default 1,
  minimum bigint,
  constraint gateway_currencies_pkey primary key (gateway, currency)
);
comment on table app.gateway_currencies is 'Currencies that a gateway takes; one that names none takes all.';
comment on column app.gateway_currencies.step is 'Charged amounts are multiples of it, in minor units.';
comment on column app.gateway_currencies.minimum is 'Least charge in minor units; null: the gateway decides by conversion.';
create index if not exists gateway_currencies_currency_idx on app.gateway_currencies (currency);
grant select on app.gateway_currencies to service_role;

insert into app.gateway_currencies (gateway, currency, step, minimum)
select 'stripe', code, step, minimums.minimum
from app.currencies
left join (values
  ('aed', 200), ('aud', 50), ('bgn', 100), ('brl', 50), ('cad', 50), ('chf', 50), ('czk', 1500), ('dkk', 250),
  ('eur', 50), ('gbp', 30), ('hkd', 400), ('huf', 17500), ('inr', 50), ('jpy', 50), ('mxn', 1000), ('myr', 200),
  ('nok', 300), ('nzd', 50), ('pln', 200), ('ron', 200), ('sek', 300), ('sgd', 50), ('thb', 1000), ('usd', 50)
) minimums (currency, minimum) on minimums.currency = code
on conflict (gateway, currency) do update set step = excluded.step, minimum = excluded.minimum;

insert into app.gateway_currencies (gateway, currency, step, minimum)
select 'paypal', currency, case when currency in ('huf', 'twd') then 100 else 1 end, null
from unnest(array[
  'aud', 'brl', 'cad', 'cny', 'czk', 'dkk', 'eur', 'hkd', 'huf', 'ils', 'jpy', 'myr', 'mxn', 'twd', 'nzd', 'nok', 'php',
  'pln', 'gbp', 'sgd', 'sek', 'chf', 'thb', 'usd'
]) currency
on conflict (gateway, currency) do update set step = excluded.step, minimum = excluded.minimum;

insert into app.gateway_currencies (gateway, currency, minimum)
select 'razorpay', currency, case currency when 'inr' then 100 end
from unnest(array[
  'aed', 'aud', 'cad', 'chf', 'cny', 'dkk', 'eur', 'gbp', 'hkd', 'inr', 'jpy', 'kes', 'lkr', 'mxn', 'myr', 'nok', 'npr',
  'nzd', 'php', 'qar', 'sar', 'sek', 'sgd', 'thb', 'usd', 'zar'
]) currency
on conflict (gateway, currency) do update set minimum = excluded.minimum;

-- In plpgsql, as an SQL function with settings of its own is planned anew at each call.
create or replace function app.currency(p_code text)
returns app.currencies language plpgsql stable set search_path = '' as $$
declare
  v_currency app.currencies;
begin
  select * into v_currency from app.currencies where code = lower(btrim(p_code));
  if not found then
    v_currency := row (lower(btrim(p_code)), 2, 1);
  end if;
  return v_currency;
end $$;
comment on function app.currency is
  'How amounts of a currency are counted; one that is not in the table counts in hundredths.';

create or replace function app.to_minor_units(p_amount numeric, p_currency text)
returns bigint language plpgsql stable set search_path = '' as $$
declare
  v_currency app.currencies := app.currency(p_currency);
begin
  return round(coalesce(p_amount, 0) * 10 ^ v_currency.exponent::numeric / v_currency.step) * v_currency.step;
end $$;
comment on function app.to_minor_units is 'Currency units (299.99) as minor units (29999); null is 0.';

create or replace function app.to_units(p_amount bigint, p_currency text)
returns numeric language plpgsql stable set search_path = '' as $$
declare
  v_exponent integer := (app.currency(p_currency)).exponent;
begin
  return round(p_amount / 10 ^ v_exponent::numeric, v_exponent);
end $$;
comment on function app.to_units is 'Minor units (29999) as currency units (299.99).';

create or replace function app.money(p_amount bigint, p_currency text)
returns text language sql stable set search_path = '' as $$
  select app.to_units(p_amount, p_currency) || ' ' || upper(p_currency);
$$;
comment on function app.money is 'Minor units as a person reads them: 299.99 USD.';

-- The agency has one currency: its prices, its bookings, its reports. Amounts of different currencies are never added up.
create table if not exists app.agency (
  is_only_row boolean primary key default true constraint agency_is_only_row_check check (is_only_row),
  currency text not null references app.currencies (code)
);
comment on table app.agency is 'One row, once `flask check` has set it: what holds for the agency as a whole.';
grant select, insert, update on app.agency to service_role;
grant select on app.agency to customer;

create or replace function app.booking_currency(p_currency text)
returns text language plpgsql stable set search_path = '' as $$
begin
  return coalesce(nullif(lower(btrim(p_currency)), ''), (select currency from app.agency), 'usd');
end $$;
comment on function app.booking_currency is 'ISO 4217, lower case: what a booking says, else the agency''s, which is usd until it is set.';
grant execute on function app.booking_currency to customer;
