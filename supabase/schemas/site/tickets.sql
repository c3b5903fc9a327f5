-- What visitors ask for help with, and the talk about it.

create table if not exists public.support_tickets (id serial primary key);
alter table public.support_tickets
  add column if not exists subject text not null,
  add column if not exists customer text not null,
  add column if not exists email text not null,
  add column if not exists status text not null default 'Open',
  add column if not exists priority text not null default 'Medium',
  add column if not exists category text,
  add column if not exists assigned_to text,
  add column if not exists last_update timestamptz not null default now(),
  add column if not exists created_at timestamptz not null default now(),
  alter column status set default 'Open',
  alter column priority set default 'Medium',
  alter column last_update set default now(),
  alter column created_at set default now();
comment on table public.support_tickets is 'What visitors ask for help with.';
create index if not exists support_tickets_created_at_idx on public.support_tickets (created_at);
call app.fill_text('public.support_tickets');
call app.bound_line('public.support_tickets', 'subject', 1, 300);
call app.bound_line('public.support_tickets', 'customer', 1, 200);
call app.add_check('public.support_tickets', 'email', 'app.is_email(email)', 'Is not a valid e-mail address.');
call app.bound_choice('public.support_tickets', 'status', 'Open', 'In Progress', 'Closed');
call app.bound_choice('public.support_tickets', 'priority', 'High', 'Medium', 'Low');
call app.bound_line('public.support_tickets', 'category', 0, 300);
call app.bound_line('public.support_tickets', 'assigned_to', 0, 200);

call app.close_table('public.support_tickets');
create policy support_tickets_insert_anon on public.support_tickets for insert to anon
  with check (status = 'Open' and assigned_to = '');
-- Of the rows a visitor sees only the one that this very transaction made: see bookings_select_anon.
create policy support_tickets_select_anon on public.support_tickets for select to anon using (created_at = now());
create policy support_tickets_select_staff on public.support_tickets for select to staff
  using ((select app.staff_can('tickets_view')));
create policy support_tickets_insert_staff on public.support_tickets for insert to staff
  with check ((select app.staff_can('tickets_create')));
create policy support_tickets_update_staff on public.support_tickets for update to staff
  using ((select app.staff_can('tickets_edit')));
create policy support_tickets_delete_staff on public.support_tickets for delete to staff
  using ((select app.staff_can('tickets_delete')));
grant select, insert, update, delete on public.support_tickets to service_role, staff;
create or replace trigger tg_support_tickets__refuse_staff before insert or update or delete on public.support_tickets
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
grant select, insert (subject, customer, email, status, priority, category, assigned_to, last_update)
  on public.support_tickets to anon;
call app.grant_sequence('public.support_tickets', 'service_role', 'staff', 'anon');
create or replace trigger tg_support_tickets__guard_columns before insert or update on public.support_tickets
  for each row when (current_user = 'staff') execute function app.tg_guard_columns();

create or replace function app.tg_support_tickets__guard_visitor()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.status := 'Open';
  new.assigned_to := '';
  new.last_update := now();
  new.created_at := now();
  return new;
end $$;
comment on function app.tg_support_tickets__guard_visitor is 'A visitor''s ticket is open and nobody''s yet.';

create or replace trigger tg_support_tickets__guard_visitor before insert on public.support_tickets
  for each row when (current_user = 'anon') execute function app.tg_support_tickets__guard_visitor();
create or replace trigger tg_support_tickets__limit_visitor before insert on public.support_tickets
  for each row when (current_user = 'anon') execute function app.tg_limit_visitor();

create table if not exists public.ticket_messages (id serial primary key);
alter table public.ticket_messages
  add column if not exists ticket_id integer not null references public.support_tickets (id) on delete cascade,
  add column if not exists from_type text not null default 'customer',
  add column if not exists name text,
  add column if not exists message text not null,
  add column if not exists created_at timestamptz not null default now(),
  alter column from_type set default 'customer',
  alter column created_at set default now();
comment on table public.ticket_messages is 'The talk about a ticket.';
create index if not exists ticket_messages_ticket_id_idx on public.ticket_messages (ticket_id);
call app.fill_text('public.ticket_messages');
call app.bound_choice('public.ticket_messages', 'from_type', 'customer', 'agent');
call app.bound_line('public.ticket_messages', 'name', 0, 200);
call app.bound_text('public.ticket_messages', 'message', 20000);

call app.close_table('public.ticket_messages');
create policy ticket_messages_select_staff on public.ticket_messages for select to staff
  using ((select app.staff_can('tickets_view')));
create policy ticket_messages_insert_staff on public.ticket_messages for insert to staff
  with check ((select app.staff_can('tickets_create')) or (select app.staff_can('tickets_edit')));
create policy ticket_messages_update_staff on public.ticket_messages for update to staff
  using ((select app.staff_can('tickets_edit')));
create policy ticket_messages_delete_staff on public.ticket_messages for delete to staff
  using ((select app.staff_can('tickets_delete')));
grant select, insert, update, delete on public.ticket_messages to service_role, staff;
create or replace trigger tg_ticket_messages__refuse_staff before insert or update or delete on public.ticket_messages
  for each statement when (current_user = 'staff') execute function app.tg_refuse_staff();
call app.grant_sequence('public.ticket_messages', 'service_role', 'staff');
