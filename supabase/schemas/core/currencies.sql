-- Currencies and how their amounts are counted, once for SQL, mails and the local Stripe.
-- Source: docs.stripe.com/currencies, "Zero-decimal currencies", "Three-decimal currencies", "Special cases" (ISK and
-- UGX have no decimals and are written with two), "Minimum and maximum charge amounts".

create table if not exists app.currencies (
  code text primary key constraint currencies_code_check check (code ~ '^[a-z]{3}$'),
  exponent smallint not null,
  step smallint not null,
  minimum bigint
);
comment on table app.currencies is 'Currencies that can be charged, ISO 4217 in lower case.';
comment on column app.currencies.exponent is 'Decimal digits of the minor unit.';
comment on column app.currencies.step is 'Charged amounts are multiples of it, in minor units.';
comment on column app.currencies.minimum is 'Least charge in minor units; null: the gateway decides by conversion.';
grant select on app.currencies to service_role, customer, staff;

insert into app.currencies (code, exponent, step, minimum) values
  ('aed', 2, 1, 200), ('afn', 2, 1, null), ('all', 2, 1, null), ('amd', 2, 1, null), ('ang', 2, 1, null),
  ('aoa', 2, 1, null), ('ars', 2, 1, null), ('aud', 2, 1, 50), ('awg', 2, 1, null), ('azn', 2, 1, null),
  ('bam', 2, 1, null), ('bbd', 2, 1, null), ('bdt', 2, 1, null), ('bgn', 2, 1, 100), ('bhd', 3, 10, null),
  ('bif', 0, 1, null), ('bmd', 2, 1, null), ('bnd', 2, 1, null), ('bob', 2, 1, null), ('brl', 2, 1, 50),
  ('bsd', 2, 1, null), ('bwp', 2, 1, null), ('byn', 2, 1, null), ('bzd', 2, 1, null), ('cad', 2, 1, 50),
  ('cdf', 2, 1, null), ('chf', 2, 1, 50), ('clp', 0, 1, null), ('cny', 2, 1, null), ('cop', 2, 1, null),
  ('crc', 2, 1, null), ('cve', 2, 1, null), ('czk', 2, 1, 1500), ('djf', 0, 1, null), ('dkk', 2, 1, 250),
  ('dop', 2, 1, null), ('dzd', 2, 1, null), ('egp', 2, 1, null), ('etb', 2, 1, null), ('eur', 2, 1, 50),
  ('fjd', 2, 1, null), ('fkp', 2, 1, null), ('gbp', 2, 1, 30), ('gel', 2, 1, null), ('gip', 2, 1, null),
  ('gmd', 2, 1, null), ('gnf', 0, 1, null), ('gtq', 2, 1, null), ('gyd', 2, 1, null), ('hkd', 2, 1, 400),
  ('hnl', 2, 1, null), ('htg', 2, 1, null), ('huf', 2, 1, 17500), ('idr', 2, 1, null), ('ils', 2, 1, null),
  ('inr', 2, 1, 50), ('isk', 2, 100, null), ('jmd', 2, 1, null), ('jod', 3, 10, null), ('jpy', 0, 1, 50),
  ('kes', 2, 1, null), ('kgs', 2, 1, null), ('khr', 2, 1, null), ('kmf', 0, 1, null), ('krw', 0, 1, null),
  ('kwd', 3, 10, null), ('kyd', 2, 1, null), ('kzt', 2, 1, null), ('lak', 2, 1, null), ('lbp', 2, 1, null),
  ('lkr', 2, 1, null), ('lrd', 2, 1, null), ('lsl', 2, 1, null), ('mad', 2, 1, null), ('mdl', 2, 1, null),
  ('mga', 0, 1, null), ('mkd', 2, 1, null), ('mmk', 2, 1, null), ('mnt', 2, 1, null), ('mop', 2, 1, null),
  ('mur', 2, 1, null), ('mvr', 2, 1, null), ('mwk', 2, 1, null), ('mxn', 2, 1, 1000), ('myr', 2, 1, 200),
  ('mzn', 2, 1, null), ('nad', 2, 1, null), ('ngn', 2, 1, null), ('nio', 2, 1, null), ('nok', 2, 1, 300),
  ('npr', 2, 1, null), ('nzd', 2, 1, 50), ('omr', 3, 10, null), ('pab', 2, 1, null), ('pen', 2, 1, null),
  ('pgk', 2, 1, null), ('php', 2, 1, null), ('pkr', 2, 1, null), ('pln', 2, 1, 200), ('pyg', 0, 1, null),
  ('qar', 2, 1, null), ('ron', 2, 1, 200), ('rsd', 2, 1, null), ('rub', 2, 1, null), ('rwf', 0, 1, null),
  ('sar', 2, 1, null), ('sbd', 2, 1, null), ('scr', 2, 1, null), ('sek', 2, 1, 300), ('sgd', 2, 1, 50),
  ('shp', 2, 1, null), ('sle', 2, 1, null), ('sos', 2, 1, null), ('srd', 2, 1, null), ('std', 2, 1, null),
  ('szl', 2, 1, null), ('thb', 2, 1, 1000), ('tjs', 2, 1, null), ('tnd', 3, 10, null), ('top', 2, 1, null),
  ('try', 2, 1, null), ('ttd', 2, 1, null), ('twd', 2, 1, null), ('tzs', 2, 1, null), ('uah', 2, 1, null),
  ('ugx', 2, 100, null), ('usd', 2, 1, 50), ('uyu', 2, 1, null), ('uzs', 2, 1, null), ('vnd', 0, 1, null),
  ('vuv', 0, 1, null), ('wst', 2, 1, null), ('xaf', 0, 1, null), ('xcd', 2, 1, null), ('xof', 0, 1, null),
  ('xpf', 0, 1, null), ('yer', 2, 1, null), ('zar', 2, 1, null), ('zmw', 2, 1, null)
on conflict (code) do update set exponent = excluded.exponent, step = excluded.step, minimum = excluded.minimum;

-- In plpgsql, as an SQL function with settings of its own is planned anew at each call.
create or replace function app.currency(p_code text)
returns app.currencies language plpgsql stable set search_path = '' as $$
declare
  v_currency app.currencies;
begin
  select * into v_currency from app.currencies where code = lower(btrim(p_code));
  if not found then
    v_currency := row (lower(btrim(p_code)), 2, 1, null);
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
