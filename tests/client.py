"""The client of the tests: a call in one line, its status checked, its body returned."""

import itertools
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

_addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(256), range(256), range(1, 255)))


class Client:
    """Calls the application as one person from one IP address.

    ``api.post("/api/…", {…}, expect=201)`` returns the decoded body; ``api.last`` is the whole response.
    """

    def __init__(self, app: Flask, token: str | None = None, address: str | None = None) -> None:
        self.app = app
        self.token = token
        self.address = address or next(_addresses)
        self.http = app.test_client(use_cookies=False)
        self.last: TestResponse

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def signed_in(self, token: str) -> "Client":
        """The same person with a token."""
        return Client(self.app, token, self.address)

    def call(
        self, method: str, path: str, json: Any = None, *, expect: int = 200, headers: Any = None, **kwargs: Any
    ) -> Any:
        sent = {**self.headers, **(headers or {})}
        if json is not None:
            kwargs["json"] = json
        kwargs.setdefault("buffered", True)  # read to the end and closed, as a server does
        kwargs.setdefault("environ_base", {"REMOTE_ADDR": self.address})
        self.last = self.http.open(path, method=method, headers=sent, **kwargs)
        assert self.last.status_code == expect, f"{method} {path}: {self.last.status} {self.last.text[:2000]}"
        return self.last.get_json() if self.last.is_json and self.last.data else self.last.data

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self.call("POST", path, json, **kwargs)

    def put(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self.call("PUT", path, json, **kwargs)

    def patch(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self.call("PATCH", path, json, **kwargs)

    def delete(self, path: str, json: Any = None, **kwargs: Any) -> Any:
        return self.call("DELETE", path, json, **kwargs)
