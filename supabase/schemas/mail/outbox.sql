-- Mail leaves the service through a table. What causes a mail writes its row in the same transaction; `flask worker`
-- claims the rows, sends them and says how it went. No web request speaks SMTP.

-- Why a row per mail: a mail that was accepted with the commit of its cause is sent at least once,
-- whatever dies afterwards. `data` holds what the template prints and never a secret: links are made as the
-- mail is sent, so that this table, read by whomever, verifies and resets nothing.
create table if not exists public.email_outbox (
  id uuid primary key default gen_random_uuid(),
  template text not null constraint email_outbox_template_check check (template ~ '^[a-z][a-z-]{1,40}$'),
  recipient text not null,
  data jsonb not null default '{}' constraint email_outbox_data_check check (jsonb_typeof(data) = 'object'),
  dedupe_key text constraint email_outbox_dedupe_key_key unique,
  customer_id uuid,
  booking_id public.booking_key,
  state text not null default 'queued'
    constraint email_outbox_state_check check (state in ('queued', 'sending', 'sent', 'dropped', 'dead')),
  attempts integer not null default 0 constraint email_outbox_attempts_check check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  claimed_by uuid,
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint email_outbox_finished_at_check check ((finished_at is not null) = (state in ('sent', 'dropped', 'dead')))
);
comment on table public.email_outbox is
  'Mails to be sent, one row each, written in the transaction of what causes them. Rows that are over go after 30 days.';
comment on column public.email_outbox.template is 'Folder in email_templates/.';
comment on column public.email_outbox.data is
  'What the template prints. Never a secret; emptied when the mail is sent or dropped.';
comment on column public.email_outbox.dedupe_key is 'Same key, same mail: a second one is not queued.';
comment on column public.email_outbox.customer_id is
  'The customer whose account this mail is about. No foreign key: this table is older.';
comment on column public.email_outbox.booking_id is
  'The booking that it is about: what happens to one within a minute is told in one mail.';
comment on column public.email_outbox.state is
  'queued: waits for next_attempt_at · sending: a worker holds it until next_attempt_at · sent · dropped: its purpose '
  'was gone before it went · dead: refused for good or too often.';
comment on column public.email_outbox.attempts is 'Claims so far; one that a pause of the queue ended is not counted.';
comment on column public.email_outbox.next_attempt_at is
  'When the mail may be claimed: the end of its wait while queued, the end of the lease while sending.';
comment on column public.email_outbox.claimed_by is
  'Made anew by each claim; only its holder may say how the mail went.';
comment on column public.email_outbox.last_error is 'Why it did not go the last time, in the mail server''s words.';
create index if not exists email_outbox_next_attempt_at_idx
  on public.email_outbox (next_attempt_at) where state in ('queued', 'sending');
create index if not exists email_outbox_finished_at_idx on public.email_outbox (finished_at) where finished_at is not null;
create index if not exists email_outbox_booking_id_idx
  on public.email_outbox (booking_id, created_at) where booking_id is not null;
create index if not exists email_outbox_customer_id_idx on public.email_outbox (customer_id) where customer_id is not null;

call app.close_table('public.email_outbox');
grant select, insert, update, delete on public.email_outbox to service_role;

-- For the SQL functions that cause mails. An address that no mail can reach must not undo what it is told about (a
-- payment, say), so such a row is kept as dead instead of raising.
create or replace function app.queue_email(
  p_template text,
  p_recipient text,
  p_data jsonb,
  p_dedupe_key text default null,
  p_customer_id uuid default null,
  p_booking_id public.booking_key default null
) returns uuid language plpgsql volatile set search_path = '' as $$
declare
  v_recipient text := btrim(coalesce(p_recipient, ''));
  v_deliverable boolean := app.is_email(v_recipient);
  v_id uuid;
begin
  insert into public.email_outbox (
    template, recipient, data, dedupe_key, customer_id, booking_id, state, last_error, finished_at
  )
  values (
    p_template, v_recipient, coalesce(p_data, '{}'), p_dedupe_key, p_customer_id, p_booking_id,
    case when v_deliverable then 'queued' else 'dead' end,
    case when not v_deliverable then 'This is not an address that mail can be sent to.' end,
    case when not v_deliverable then now() end
  )
  on conflict (dedupe_key) do nothing
  returning id into v_id;
  return v_id;
end $$;
comment on function app.queue_email is
  'Queue one mail within the caller''s transaction; its id, or null when a mail with this dedupe key exists.';
