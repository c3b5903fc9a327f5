-- What a customer chose decides how mails to the proven address read, and whether those that only inform are sent at all.

create or replace function app.tg_email_outbox__apply_preferences()
returns trigger language plpgsql set search_path = '' as $$
declare
  v_chosen public.customer_preferences;
begin
  select p.* into v_chosen from public.customer_preferences p
  where p.customer_id = coalesce(new.customer_id, app.find_verified_customer(new.recipient));
  new.data := new.data - 'language';
  if v_chosen.language <> 'en' then
    new.data := new.data || jsonb_build_object('language', v_chosen.language);
  end if;
  if v_chosen.email_notifications is false and new.template in ('booking-received', 'booking-reminder', 'payment-failed') then
    new.state := 'dropped';
    new.data := '{}';
    new.finished_at := now();
    new.last_error := 'The customer wants no such mails.';
  end if;
  return new;
end $$;
comment on function app.tg_email_outbox__apply_preferences is
  'Notes the language for the template, and drops what informs only where the customer wants no notifications.';

-- Of the recipient as well: a mail that waits goes with its booking to another address, whose owner chose for themselves.
create or replace trigger tg_email_outbox__apply_preferences before insert or update of recipient on public.email_outbox
  for each row execute function app.tg_email_outbox__apply_preferences();
