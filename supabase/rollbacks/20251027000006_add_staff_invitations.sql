-- Undoes 20251027000006_add_staff_invitations.sql.
drop function if exists
  public.accept_staff_invitation(integer, text, text, jsonb),
  public.mint_staff_invitation(uuid, text, integer),
  public.invite_staff(jsonb, jsonb);
drop table if exists public.staff_invitations;
notify pgrst, 'reload schema';
