"""The JKLG Travel backend: a Flask service directly over Supabase."""
