-- Who acts. The service says so with every request, in the header X-Actor:
--   {"name": what audit rows say, "id": of a member of staff, "ip", "user_agent", "request_id"}, each optional.
-- Supabase hands headers of anybody on, so only roles whose tokens the service alone makes are believed.

create or replace function app.actor()
returns jsonb language plpgsql stable set search_path = '' as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  v_actor jsonb := jsonb_build_object('name', v_role);
  v_claims jsonb;
begin
  if v_role in ('service_role', 'customer', 'staff') then
    v_actor := v_actor || jsonb_strip_nulls(coalesce(
      (nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-actor')::jsonb, '{}'
    ));
  end if;
  if v_role = 'staff' then
    v_claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    v_actor := v_actor || jsonb_build_object('id', v_claims -> 'sub', 'name', v_claims -> 'email');
  end if;
  if current_setting('app.actor', true) <> '' then
    v_actor := v_actor || jsonb_build_object('name', current_setting('app.actor', true));
  end if;
  return v_actor;
end $$;
comment on function app.actor is
  'Who acts in this transaction: {name, id, ip, user_agent, request_id}; name is always there.';
grant execute on function app.actor to customer;

create or replace function app.act_as(p_name text, p_reason text default null)
returns void language sql volatile set search_path = '' as $$
  select set_config('app.actor', coalesce(p_name, ''), true), set_config('app.reason', coalesce(p_reason, ''), true);
$$;
comment on function app.act_as is
  'From here to the end of the transaction audit rows name this actor (null: who asked) and reason.';
