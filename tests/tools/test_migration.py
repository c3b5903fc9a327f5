"""`make migration` after a release: the next delta is what changed since."""

import shutil
from pathlib import Path

import pytest

from tools import migration


def change(path: str, old: str, new: str) -> None:
    schema = migration.SUPABASE / "schemas" / path
    text = schema.read_text()
    assert old in text, path
    schema.write_text(text.replace(old, new))


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of migrations of a copy whose migrations are released."""
    supabase = tmp_path / "supabase"
    shutil.copytree(migration.SUPABASE, supabase)
    monkeypatch.setattr(migration, "SUPABASE", supabase)
    monkeypatch.setattr(migration, "MIGRATIONS", supabase / "migrations")
    monkeypatch.setattr(migration, "RELEASED", supabase / "released.sha256")
    migration.release()
    return supabase / "migrations"


def test_a_delta_makes_what_changed_and_says_what_it_leaves(released: Path, capsys: pytest.CaptureFixture[str]):
    before = set(released.iterdir())
    change("core/retention.sql", "create or replace function public.clean_expired()\nreturns integer",
           "create or replace function public.clean_expired()\nreturns bigint")  # fmt: skip
    change("core/retention.sql", "'The worker''s sweep of", "'The sweep of")
    change("core/keys.sql", "grant execute on function app.uuid_v7 to anon, staff;",
           "grant execute on function app.uuid_v7 to anon;")  # fmt: skip
    change("bookings/bookings.sql", "add column if not exists notes text,", "add column if not exists notes text,\n"
           "  add column if not exists more text,")  # fmt: skip
    ownership = (migration.SUPABASE / "schemas/customers/ownership.sql").read_text()
    trigger = ownership[ownership.index("create or replace trigger tg_bookings__find_customer_anew") :].split(";")[0]
    change("customers/ownership.sql", trigger + ";", "")
    migration.write_delta("Try it")
    (delta,) = set(released.iterdir()) - before
    notes = ["grant function app.uuid_v7() to staff is gone", "column public.bookings.more is now: text"]
    assert all(f"-- By hand: {note}" in delta.read_text() for note in notes)
    capsys.readouterr()

    # Completed by the author it makes the same database; what has no author's hand in it is all there.
    by_hand = "alter table public.bookings add column more text;\nrevoke execute on function app.uuid_v7 from staff;\n"
    delta.write_text(delta.read_text() + by_hand)
    made, declared = migration.both_catalogues()
    version = {key for key in made.keys() ^ declared.keys() if "migrations" in key[1]}
    assert {key for key in made.keys() | declared.keys() if made.get(key) != declared.get(key)} == version


def test_what_somebody_wrote_is_not_put_together(released: Path):
    written = released / "20991231000000_add_something.sql"
    written.write_text("select 1;\n")
    migration.put_together()
    assert written.read_text() == "select 1;\n"
