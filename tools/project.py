"""Where things lie in this project."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SUPABASE = PROJECT / "supabase"
MIGRATIONS = SUPABASE / "migrations"
SEED = SUPABASE / "seed.sql"
# Where `make run` keeps its data.
DIRECTORY = Path(os.environ.get("DEVSTACK_DIRECTORY", PROJECT / ".devstack" / "run")).resolve()
