-- Mails as the site's staff pages note them: a row asks for the mail of that occasion, and tells how it went. Which mail, and
-- to whom, is not the browser's to say: see bookings/mails.sql.

create table if not exists public.email_history (id serial primary key);
alter table public.email_history
  add column if not exists recipient_email text not null,
  add column if not exists recipient_name text,
  add column if not exists subject text,
  add column if not exists body text,
  add column if not exists email_type text,
  add column if not exists related_to text,
  add column if not exists related_id text,
  add column if not exists status text not null default 'pending',
  add column if not exists sent_at timestamptz,
  add column if not exists error_message text,
  add column if not exists outbox_id uuid,
  add column if not exists created_at timestamptz not null default now(),
  alter column status set default 'pending',
  alter column created_at set default now();
comment on table public.email_history is 'Mails that staff''s pages asked for. What is really sent is in email_outbox.';
comment on column public.email_history.outbox_id is 'The mail of ours that it asked for; no foreign key, old mails are purged.';
create index if not exists email_history_outbox_id_idx on public.email_history (outbox_id);

call app.bound_line('public.email_history', 'recipient_email', 0, 300);
call app.bound_line('public.email_history', 'recipient_name', 0, 300);
call app.bound_line('public.email_history', 'subject', 0, 500);
call app.bound_text('public.email_history', 'body', 200000);
call app.bound_line('public.email_history', 'email_type', 0, 100);
call app.bound_line('public.email_history', 'related_to', 0, 100);
-- The id of a booking: a number on some projects.
call app.add_check('public.email_history', 'related_id', 'length(related_id::text) <= 100', 'Must have at most 100 characters.');
call app.bound_choice('public.email_history', 'status', 'pending', 'processing', 'sent', 'failed');

create or replace function app.history_status(p_state text)
returns text language sql immutable set search_path = '' as $$
  select case p_state when 'queued' then 'pending' when 'sending' then 'pending' when 'sent' then 'sent' else 'failed' end;
$$;
comment on function app.history_status is 'What staff reads of a mail that is in p_state.';

create or replace function app.tg_email_outbox__tell_history()
returns trigger language plpgsql set search_path = '' as $$
begin
  update public.email_history
  set status = app.history_status(new.state), sent_at = case when new.state = 'sent' then new.finished_at end,
    error_message = case when new.state in ('dropped', 'dead') then coalesce(new.last_error, new.state) end
  where outbox_id = new.id;
  return null;
end $$;
comment on function app.tg_email_outbox__tell_history is 'Tells the rows that asked for a mail how it went, and that it is tried anew.';

create or replace trigger tg_email_outbox__tell_history after update on public.email_outbox
  for each row when (old.state <> new.state and new.state <> 'sending') execute function app.tg_email_outbox__tell_history();

call app.close_table('public.email_history');
create policy email_history_select_staff on public.email_history for select to staff
  using ((select app.staff_can('bookings_view')));
create policy email_history_insert_staff on public.email_history for insert to staff
  with check ((select app.staff_can('bookings_send_reminder')));
grant select, insert, update, delete on public.email_history to service_role;
grant select, insert (recipient_email, recipient_name, subject, body, email_type, related_to, related_id, status)
  on public.email_history to staff;
call app.grant_sequence('public.email_history', 'service_role', 'staff');
create or replace trigger tg_email_history__refuse_staff before insert on public.email_history
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
