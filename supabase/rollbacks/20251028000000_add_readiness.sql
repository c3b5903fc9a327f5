-- Undoes 20251028000000_add_readiness.sql.
drop function if exists
  public.readiness;
delete from app.migrations where version = '20251028000000';
notify pgrst, 'reload schema';
