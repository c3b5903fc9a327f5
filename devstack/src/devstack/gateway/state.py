"""A gateway's objects, kept in one SQLite file: what was answered survives SIGKILL; two servers cannot share a file."""

import asyncio
import contextvars
import io
import json
import pickle
import secrets
import sqlite3
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

SCHEMA = """
create table if not exists objects (seq integer primary key, key text not null unique, body blob not null);
create table if not exists requests (seq integer primary key, body text not null);
create table if not exists settings (name text primary key, body text not null);
create table if not exists idempotency_keys (
    api_key text not null, key text not null, path text not null, params text not null,
    status integer not null, body blob not null, request_id text not null, created real not null,
    primary key (api_key, key));
"""
UPSERT = "insert into objects (key, body) values (?, ?) on conflict (key) do update set body = excluded.body"

# Name -> what is done to an object once its waiting time is over; `later()` names it, so it outlives a restart.
ACTIONS: dict[str, Callable[[Any], None]] = {}


def action(function: Callable[[Any], None]) -> Callable[[Any], None]:
    ACTIONS[function.__name__] = function
    return function


def random_id(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


class Thing:
    """An object of a gateway: its kind, its id, and what else is set on it; what begins with `_` is never shown."""

    object: str
    id: str
    _due: str | None = None

    def export(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class State(dict[str, Any]):
    """`object:id` -> live object. Everything looked up or set since the last `commit()` is written by it, at once."""

    thing: ClassVar[type] = Thing
    unpickler: ClassVar[type[pickle.Unpickler]] = pickle.Unpickler
    key_lifetime: ClassVar[float] = 24 * 3600  # seconds that an idempotency key is known

    def __init__(self, path: str, settle_after: float = 1.0) -> None:
        super().__init__()
        self.settle_after = settle_after
        self._touched: set[str] = set()
        self._written: dict[str, int] = {}
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, timeout=0.5)
        # Exclusive: the file belongs to one server. WAL: a commit is one append, whole or not there after a kill.
        for pragma in ("locking_mode=exclusive", "journal_mode=wal", "synchronous=normal"):
            self.db.execute(f"pragma {pragma}")
        self.db.executescript(SCHEMA)
        self._load()

    # --- the objects

    def add(self, thing: Any) -> Any:
        self[f"{thing.object}:{thing.id}"] = thing
        return thing

    def get(self, key: str, default: Any = None) -> Any:
        if key in self:
            self._touched.add(key)
        return super().get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        dict.__setitem__(self, key, value)
        self._touched.add(key)

    def __delitem__(self, key: str) -> None:
        dict.__delitem__(self, key)
        self._touched.add(key)

    def of_kind(self, kind: str) -> list[Any]:
        """All objects of a kind, oldest first; to read them, for what is changed is taken by get()."""
        return [value for key, value in self.items() if key.startswith(f"{kind}:")]

    def commit(self) -> None:
        for key in self._touched:
            if key not in self:
                self.db.execute("delete from objects where key = ?", (key,))
                continue
            body = self._pickle(dict.get(self, key))
            if self._written.get(key) != (digest := hash(body)):
                self.db.execute(UPSERT, (key, body))
                self._written[key] = digest
        self._touched.clear()
        self.db.commit()

    def reset(self) -> None:
        self.clear()
        self._touched.clear()
        self._written.clear()
        for table in ("objects", "requests", "idempotency_keys"):
            self.db.execute(f"delete from {table}")
        self.db.commit()

    def _pickle(self, root: Any) -> bytes:
        """One object; others of the store that it points at go in as their keys, so identity survives a restart."""
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)

        def persistent_id(value: Any) -> str | None:
            if value is root or not isinstance(value, self.thing):
                return None
            key = f"{value.object}:{getattr(value, 'id', '')}"  # type: ignore[attr-defined]
            return key if dict.get(self, key) is value else None

        pickler.persistent_id = persistent_id  # type: ignore[method-assign]
        pickler.dump(root)
        return buffer.getvalue()

    def _load(self) -> None:
        bodies = dict(self.db.execute("select key, body from objects order by seq").fetchall())

        def load(key: str) -> Any:
            if key not in self:
                unpickler = self.unpickler(io.BytesIO(bodies[key]))
                unpickler.persistent_load = load  # type: ignore[method-assign]
                dict.__setitem__(self, key, unpickler.load())
            return dict.get(self, key)

        for key in bodies:
            load(key)

    # --- things that happen by themselves after a while

    def later(self, thing: Any, name: str) -> None:
        """Do ACTIONS[name] to `thing` in `settle_after` seconds, also when the server is restarted before that."""
        thing._due = name
        # An empty context: what happens then is nobody's request.
        key, context = f"{thing.object}:{thing.id}", contextvars.Context()
        asyncio.get_running_loop().call_later(self.settle_after, self._run, key, name, context=context)

    def resume(self) -> None:
        for thing in list(self.values()):
            if getattr(thing, "_due", None):
                self.later(thing, thing._due)

    def _run(self, key: str, name: str) -> None:
        thing = self.get(key)
        if thing is not None and thing._due == name:
            thing._due = None
            ACTIONS[name](thing)
            self.commit()

    # --- requests, idempotency keys, settings

    def log(self, entry: dict[str, Any]) -> None:
        self.db.execute("insert into requests (body) values (?)", (json.dumps(entry),))

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(body) for (body,) in self.db.execute("select body from requests order by seq")]

    def recall(self, api_key: str, key: str) -> tuple[str, str, int, bytes, str] | None:
        """(path, params, status, body, request id) of the first use of an idempotency key."""
        return self.db.execute(
            "select path, params, status, body, request_id from idempotency_keys"
            " where api_key = ? and key = ? and created > ?",
            (api_key, key, time.time() - self.key_lifetime),
        ).fetchone()

    def remember(self, api_key: str, key: str, *answer: Any) -> None:
        self.db.execute(
            "insert or replace into idempotency_keys values (?, ?, ?, ?, ?, ?, ?, ?)",
            (api_key, key, *answer, time.time()),
        )

    def forget_keys(self) -> None:
        self.db.execute("delete from idempotency_keys")
        self.db.commit()

    def setting(self, name: str, default: Any = None) -> Any:
        row = self.db.execute("select body from settings where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def set(self, name: str, value: Any) -> None:
        self.db.execute("insert or replace into settings values (?, ?)", (name, json.dumps(value)))
        self.db.commit()
