"""What a password may be. The rules are of form only (OWASP ASVS 5.0, 6.2.1 to 6.2.4): no classes of characters."""

import importlib.util
import runpy
from functools import cache
from pathlib import Path
from typing import Any

from marshmallow import fields

from service.credentials import MAX_PASSWORD_BYTES

MIN_CHARACTERS = 8
IS_EMAIL = "May not be your e-mail address."
COMMON_RANKS = 10_000  # how far down the list of leaked passwords, by how often they were seen


class Password(fields.String):
    """What somebody says their password is: any text, as it was sent. The comparison decides."""

    default_error_messages = {"required": "Is required.", "null": "Is required.", "invalid": "Must be text."}


class NewPassword(Password):
    """What somebody wants their password to be, kept exactly as it was sent."""

    default_error_messages = {
        "short": f"Must have at least {MIN_CHARACTERS} characters.",
        "long": f"Must have at most {MAX_PASSWORD_BYTES} bytes; letters with accents and signs count as several.",
        "unicode": "Is not valid Unicode.",
        "nul": "May not hold NUL characters.",
        "common": "Is among the most common passwords. Please choose another.",
    }

    def described(self, described: dict[str, Any]) -> dict[str, Any]:
        bounds = {"minLength": MIN_CHARACTERS, "maxLength": MAX_PASSWORD_BYTES, "pattern": r"^[^\x00]*$"}
        said = f"At most {MAX_PASSWORD_BYTES} bytes, none of the most common passwords, and not the e-mail address"
        return {**described, "format": "password", **bounds, "description": said}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        password = super()._deserialize(value, attr, data, **kwargs)
        if len(password) < MIN_CHARACTERS:
            raise self.make_error("short")
        try:
            size = len(password.encode())
        except UnicodeEncodeError as error:
            raise self.make_error("unicode") from error
        if size > MAX_PASSWORD_BYTES:
            raise self.make_error("long")
        if "\0" in password:
            raise self.make_error("nul")
        if password.lower() in _common_passwords():
            raise self.make_error("common")
        return password


def is_email(password: str, email: str) -> bool:
    """Whether a password is the e-mail address or the part before its @."""
    return password.lower() in (email.lower(), email.lower().partition("@")[0])


@cache
def _common_passwords() -> frozenset[str]:
    """From zxcvbn's lists, without importing that package: its dictionaries would stay in memory."""
    package = importlib.util.find_spec("zxcvbn")
    if package is None or package.origin is None:
        raise ImportError("zxcvbn has no files to read")
    lists = runpy.run_path(str(Path(package.origin).with_name("frequency_lists.py")))
    commonest = lists["FREQUENCY_LISTS"]["passwords"][:COMMON_RANKS]
    return frozenset(word for word in commonest if len(word) >= MIN_CHARACTERS)
