-- Anybody can have mail sent to anybody's address: by registering with it, by booking with it, by a card that is declined.
-- So what an address gets that nobody has proven is bounded, however it is caused, and says nothing in a stranger's words.

create table if not exists app.mail_limits (
  seconds integer primary key constraint mail_limits_seconds_check check (seconds > 0),
  count integer not null constraint mail_limits_count_check check (count > 0)
);
comment on table app.mail_limits is 'How many mails within so many seconds strangers may cause to be sent to one address.';
insert into app.mail_limits (seconds, count) values (3600, 6), (86400, 20) on conflict do nothing;
grant select on app.mail_limits to service_role;

create or replace function app.is_proven_address(p_email text)
returns boolean language sql stable set search_path = '' as $$
  select app.find_verified_customer(p_email) is not null
    or exists (select from public.admin_users where lower(email) = lower(p_email));
$$;
comment on function app.is_proven_address is 'Whether the address is a verified customer''s or a member of staff''s.';

-- The title of a package is staff's, whatever else a visitor names as what he books is not.
create or replace function app.without_strangers_words(p_data jsonb)
returns jsonb language sql stable set search_path = '' as $$
  select p_data
    || case when p_data ? 'name' then '{"name": null}' else '{}' end::jsonb
    || case when p_data ? 'package' and not exists (
        select from public.bookings
        where id = app.to_booking_key(p_data ->> 'booking_id') and package_id is not null
      ) and not exists (
        select from public.packages where title = p_data ->> 'package'
      ) then '{"package": null}' else '{}' end::jsonb;
$$;
comment on function app.without_strangers_words is
  'What a template prints, less what a stranger may have typed: the template says something general in its place.';

-- Every mail counts, to whomever: so a question that is asked by an address takes as long for a known one. What staff does
-- and what they are told does not; else the one would be lost to a stranger's flood, and the other have to wait for it.
create or replace function app.tg_email_outbox__guard_address()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_is_proven boolean := app.is_proven_address(new.recipient);
  -- What strangers book for a customer neither floods them nor is lost because the customer was told much else.
  v_is_strangers boolean := v_is_proven and new.data ? 'is_by_stranger';
begin
  new.data := new.data - 'is_by_stranger';
  if not v_is_proven then
    new.data := app.without_strangers_words(new.data);
  end if;
  if new.state = 'queued' and new.template not like 'staff-%' and app.actor() ->> 'id' is null
    and (tg_op = 'INSERT' or lower(new.recipient) is distinct from lower(old.recipient))
    and not app.is_within_rate_limit(
      case when v_is_strangers then 'strangers_mail' else 'mail' end, new.recipient,
      (select jsonb_agg(to_jsonb(l)) from app.mail_limits l)
    )
    and (v_is_strangers or not v_is_proven) then
    new.state := 'dropped';
    new.data := '{}';
    new.finished_at := now();
    new.last_error := 'As many mails as strangers may cause have gone to this address.';
  end if;
  return new;
end $$;
comment on function app.tg_email_outbox__guard_address is
  'Bounds what strangers cause to be sent to an address, and takes their words out of it where nobody has proven it.';

create or replace trigger tg_email_outbox__guard_address before insert or update of recipient on public.email_outbox
  for each row execute function app.tg_email_outbox__guard_address();

-- The contact that is given while paying for a booking without one.
alter table public.transactions
  drop constraint if exists transactions_contact_check,
  add constraint transactions_contact_check check (not app.holds_web_address(metadata #>> '{contact,name}'));
comment on constraint transactions_contact_check on public.transactions is 'name: May not hold a web address.';
