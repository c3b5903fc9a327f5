-- Undoes 20251027000005_add_site_policies.sql. The tables stay closed to visitors: what was open before is not known.
do $$
declare
  v_table text;
begin
  foreach v_table in array array['bookings', 'testimonials', 'support_tickets'] loop
    execute format('drop trigger if exists %I on public.%I', v_table || '_take_limit', v_table);
    execute format('drop trigger if exists %I on public.%I', v_table || '_guard_visitor', v_table);
    execute format('drop policy if exists %I on public.%I', v_table || '_insert_anon', v_table);
  end loop;
  foreach v_table in array array[
    'packages', 'itineraries', 'destinations', 'gallery', 'faqs', 'blog_posts', 'testimonials', 'site_settings',
    'bookings', 'support_tickets'
  ] loop
    execute format('drop policy if exists %I on public.%I', v_table || '_select_anon', v_table);
    execute format('revoke all on public.%I from anon', v_table);
  end loop;
end $$;
revoke all on all sequences in schema public from anon;
drop function if exists
  public.tg_support_tickets__guard_visitor(),
  public.tg_testimonials__guard_visitor(),
  public.tg_bookings__guard_visitor(),
  public.tg_site_insert__take_limit(),
  public.visitor_address();
notify pgrst, 'reload schema';
