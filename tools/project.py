"""Where things lie in this project."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MIGRATIONS = PROJECT / "supabase" / "migrations"
SEED = PROJECT / "supabase" / "seed.sql"
# Where `make run` keeps its data.
DIRECTORY = Path(os.environ.get("DEVSTACK_DIRECTORY", PROJECT / ".devstack" / "run")).resolve()
