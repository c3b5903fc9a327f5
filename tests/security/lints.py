"""What Supabase's database linter calls an error or a warning, by its names, each as a query that finds the offenders.

Written after the descriptions at https://supabase.com/docs/guides/database/database-linter; where the house's rule is
stricter, the query asks for that: all schemas of ours, every role that a browser can have. Left out is what says
nothing of a schema: auth settings, versions of extensions, bloat, unused indexes.
"""

# Roles that somebody from outside can have, and the schemas that are ours.
OUTSIDE = "array['anon', 'authenticated', 'customer', 'staff']"
OURS = "array['public'::regnamespace, 'app'::regnamespace]"
SERVED = "'public'::regnamespace"
EVERYBODY = "'{0}'::oid[]"
# Left behind by the original on an existing project, called by nothing, executable by nobody from outside.
PREVIOUS = "('update_booking_payment_status')"

SEEN_FROM_OUTSIDE = f"""
    exists (select from unnest({OUTSIDE}) r (name) where has_any_column_privilege(r.name, c.oid, 'select'))
"""
IS_INVOKER = (
    "coalesce(c.reloptions, '{}') && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1']"
)
POLICIES = """
    select p.tablename || '.' || p.policyname from pg_policies p where p.schemaname in ('public', 'app', 'storage')
"""

LINTS = {
    # INFO there, and still wanted.
    "unindexed_foreign_keys": f"""
        select k.conrelid::regclass || '.' || k.conname from pg_constraint k
        where k.contype = 'f' and k.connamespace = any ({OURS})
          and k.conrelid <> 'app.agency'::regclass  -- one row
          and not exists (
          select from pg_index i where i.indrelid = k.conrelid and i.indisvalid
            and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
        )
    """,
    "no_primary_key": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace = any ({OURS}) and not exists (
          select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p'
        )
    """,
    "auth_users_exposed": f"""
        select c.oid::regclass::text from pg_depend d
        join pg_rewrite w on w.oid = d.objid
        join pg_class c on c.oid = w.ev_class
        where d.refobjid = to_regclass('auth.users') and c.relnamespace = {SERVED} and {SEEN_FROM_OUTSIDE}
    """,
    "auth_rls_initplan": rf"""
        {POLICIES} and exists (
          select from unnest(array[p.qual, p.with_check]) said (text), regexp_matches(
            said.text, '(SELECT )?(auth\.(uid|jwt|role|email)|app\.staff_can|current_setting)\(', 'g'
          ) m
          where m[1] is null
        )
    """,
    "multiple_permissive_policies": """
        select p.tablename || ' ' || r.name || ' ' || v.verb from pg_policies p, unnest(p.roles) r (name),
          unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) v (verb)
        where p.schemaname = 'public' and p.permissive = 'PERMISSIVE' and p.cmd in ('ALL', v.verb)
        group by p.tablename, r.name, v.verb having count(*) > 1
    """,
    "policy_exists_rls_disabled": """
        select distinct c.oid::regclass::text from pg_policy p join pg_class c on c.oid = p.polrelid
        where not c.relrowsecurity
    """,
    "duplicate_index": f"""
        select i.indrelid::regclass || ' ' || string_agg(i.indexrelid::regclass::text, ', ') from pg_index i
        join pg_class c on c.oid = i.indexrelid and c.relnamespace = any ({OURS})
        group by i.indrelid, replace(replace(pg_get_indexdef(i.indexrelid), 'UNIQUE ', ''), quote_ident(c.relname), '')
        having count(*) > 1
    """,
    "security_definer_view": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind = 'v' and c.relnamespace = any ({OURS}) and not {IS_INVOKER}
    """,
    "function_search_path_mutable": f"""
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = any ({OURS}) and p.proname not in {PREVIOUS} and not exists (
          select from unnest(p.proconfig) setting where setting like 'search\\_path=%'
        )
    """,
    "rls_disabled_in_public": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace = {SERVED} and not c.relrowsecurity
    """,
    "extension_in_public": f"select extname from pg_extension where extnamespace = {SERVED}",
    "rls_references_user_metadata": f"{POLICIES} and concat(p.qual, p.with_check) like '%user_metadata%'",
    "materialized_view_in_api": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind = 'm' and c.relnamespace = {SERVED} and {SEEN_FROM_OUTSIDE}
    """,
    "foreign_table_in_api": f"""
        select c.oid::regclass::text from pg_class c
        where c.relkind = 'f' and c.relnamespace = {SERVED} and {SEEN_FROM_OUTSIDE}
    """,
    "unsupported_reg_types": f"""
        select a.attrelid::regclass || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = any ({OURS}) and a.attnum > 0 and a.atttypid in (
          select oid from pg_type where typname like 'reg%' and typname not in ('regclass', 'regrole', 'regtype')
        )
    """,
    "insecure_queue_exposed_in_api": """
        select c.oid::regclass::text from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace = to_regnamespace('pgmq') and not c.relrowsecurity
    """,
    "fkey_to_auth_unique": """
        select k.conrelid::regclass || '.' || k.conname from pg_constraint k join pg_class c on c.oid = k.confrelid
        where k.contype = 'f' and c.relnamespace = to_regnamespace('auth')
          and k.connamespace <> to_regnamespace('auth')
    """,
    # The linter's asks for names of columns where there is no row-level security; here nobody from outside reads one.
    "sensitive_columns_exposed": rf"""
        select a.attrelid::regclass || '.' || a.attname || ' to ' || r.name
        from pg_attribute a join pg_class c on c.oid = a.attrelid, unnest({OUTSIDE}) r (name)
        where c.relnamespace = {SERVED} and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped
          and a.attname ~ '(password|passwd|secret|token|api_?key|hash|session_id|otp|card_number|cvc|iban)'
          and has_column_privilege(r.name, c.oid, a.attnum, 'select')
    """,
    "rls_policy_always_true": rf"""
        {POLICIES} and p.permissive = 'PERMISSIVE' and p.cmd <> 'SELECT' and (
          p.cmd <> 'INSERT' and coalesce(p.qual, 'true') ~ '^\(?(true|1 = 1)\)?$'
          or coalesce(p.with_check, case p.cmd when 'INSERT' then 'true' end) ~ '^\(?(true|1 = 1)\)?$'
        )
    """,
    "public_bucket_allows_listing": f"""
        {POLICIES} and p.schemaname = 'storage' and p.tablename = 'objects' and p.cmd in ('SELECT', 'ALL')
    """,
    "anon_security_definer_function_executable": f"""
        select p.oid::regprocedure::text from pg_proc p
        where p.prosecdef and p.pronamespace = {SERVED} and has_function_privilege('anon', p.oid, 'execute')
    """,
    "authenticated_security_definer_function_executable": f"""
        select p.oid::regprocedure::text || ' by ' || r.name from pg_proc p,
          unnest(array['authenticated', 'customer', 'staff']) r (name)
        where p.prosecdef and p.pronamespace = {SERVED} and has_function_privilege(r.name, p.oid, 'execute')
    """,
    # What it says of GraphQL is so wherever the extension is: whoever may select a table sees its name. We bring none.
    "pg_graphql_anon_table_exposed": "select extname from pg_extension where extname = 'pg_graphql'",
}
