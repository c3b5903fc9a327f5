"""Projects as they stood before Phase 1: the two ways to make one, each alone and with what is added by hand."""

from pathlib import Path

_read = {path.stem: path.read_text() for path in Path(__file__).parent.glob("*.sql")}
PROJECTS = {
    "by_migrations": _read["by_migrations"],
    "by_migrations_and_hand": _read["by_migrations"] + _read["by_hand"],
    "by_setup": _read["by_setup"],
    "by_setup_and_hand": _read["by_setup"] + _read["by_hand"],
}
