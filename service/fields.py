"""The forms that input may have. Whether something is taken, known or allowed is the database's answer.

A field with ``described`` says so in openapi.json too, as strictly as it reads: what is valid there is taken here.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any

from email_validator import EmailNotValidError, validate_email
from marshmallow import EXCLUDE, ValidationError, fields, post_load, validate
from marshmallow import Schema as MarshmallowSchema

from service.errors import NothingToUpdate
from service.ids import MAX_BIGINT, parse_id, parse_uuid

MAX_EMAIL = 254  # RFC 5321, 4.5.3.1.3
Changes = dict[str, object]  # the fields that a form changes, by name
LINE_BREAKS = "\n\r\t"
# The same for openapi.json: of one line, of several; and something to be read among it.
PRINTABLE = r"[^\x00-\x1f\x7f-\x9f]"
PRINTABLE_LINES = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f]"
Described = dict[str, Any]
AS_TEXT = "Its text is taken too, as forms send it"


class Schema(MarshmallowSchema):
    """Base of all schemas: keys nobody asked for are ignored, as the existing site sends some."""

    class Meta:
        unknown = EXCLUDE
        ordered = True


class ChangeSchema(Schema):
    """Base of bodies that set some of several things: at least one has to be there (400 ``nothing_to_update``)."""

    @post_load
    def refuse_nothing(self, data: Changes, **_: Any) -> Changes:
        if not data:
            raise NothingToUpdate
        return data


class Text(fields.String):
    """A string without surrounding space, control characters, NUL or lone surrogates.

    ``min`` and ``max`` count characters; ``multiline`` allows line breaks and tabs; "" becomes None where
    ``empty_is_none``.
    """

    default_error_messages = {
        "control": "May not hold control characters.",
        "unicode": "Is not valid Unicode.",
        "required": "Is required.",
        "null": "May not be null.",
        "invalid": "Must be text.",
    }

    def __init__(
        self, *, min: int = 0, max: int = 500, multiline: bool = False, empty_is_none: bool = False, **kwargs: Any
    ) -> None:
        self.multiline = multiline
        self.empty_is_none = empty_is_none
        if empty_is_none:
            kwargs.setdefault("allow_none", True)
        given = kwargs.pop("validate", None)
        checks = [length(min, max)] + ([given] if given else [])
        super().__init__(validate=checks, **kwargs)

    def described(self, described: Described) -> Described:
        if "enum" in described or "pattern" in described:
            return described
        character = PRINTABLE_LINES if self.multiline else PRINTABLE
        needed = f"{VISIBLE}{character}*" if described.get("minLength") else ""
        return {**described, "pattern": f"^{character}*{needed}$"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        for character in text:
            category = unicodedata.category(character)
            if category == "Cs":
                raise self.make_error("unicode")
            if category == "Cc" and not (self.multiline and character in LINE_BREAKS):
                raise self.make_error("control")
        return text.strip()

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        if self.empty_is_none and isinstance(value, str) and not value.strip():
            value = None
        return super().deserialize(value, attr, data, **kwargs)


class TextOrNumber(Text):
    """Text, or a number taken as its text: "822 m", 822."""

    def described(self, described: Described) -> Described:
        return {"anyOf": [super().described(described), {"type": "number"}]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return super()._deserialize(str(value) if is_number else value, attr, data, **kwargs)


class EmailAddress(Text):
    """An address that mail can be sent to, in lower case; the domain of an international one in its ASCII form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=1, max=MAX_EMAIL, **kwargs)

    def described(self, described: Described) -> Described:
        return {**described, "format": "email"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            address = validate_email(text, check_deliverability=False, allow_smtputf8=False, test_environment=True)
        except EmailNotValidError as error:
            raise ValidationError("Is not a valid e-mail address.") from error
        return (address.ascii_email or "").lower()


class Integer(fields.Integer):
    """A whole JSON number (no text, no 5.0) that fits a bigint."""

    default_error_messages = {"invalid": "Must be a whole number.", "required": "Is required."}

    def __init__(self, *, min: int = 0, max: int = MAX_BIGINT, **kwargs: Any) -> None:
        checks = validate.Range(min, max, error=f"Must be between {min} and {max}.")
        super().__init__(strict=True, validate=checks, **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, (bool, str, float)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Flag(fields.Boolean):
    """true or false, JSON's own or the text that a form's field holds, and nothing that merely resembles them."""

    default_error_messages = {"invalid": "Must be true or false.", "null": "May not be null."}

    def described(self, described: Described) -> Described:
        as_text = {"type": "string", "enum": ["true", "false"]}
        return {**described, "type": None, "anyOf": [{"type": "boolean"}, as_text]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool) and value not in ("true", "false"):
            raise self.make_error("invalid", input=value)
        return value in (True, "true")


class Day(fields.String):
    """A date as text, 2027-05-31; a date picker's 2027-05-31T00:00:00.000Z is cut to its date."""

    default_error_messages = {
        "invalid": "Must be a date, as 2027-05-31.",
        "required": "Is required.",
        "null": "Is required.",
    }

    def described(self, described: Described) -> Described:
        return {**described, "format": "date"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        try:
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?", text, re.ASCII):
                raise self.make_error("invalid")
            return date.fromisoformat(text[:10]).isoformat()
        except ValueError as error:
            raise self.make_error("invalid") from error


class FormInteger(Integer):
    """A whole number, as a JSON number or as the text that a form's field holds."""

    def described(self, described: Described) -> Described:
        return {**described, "description": AS_TEXT}

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value, re.ASCII):
            value = int(value)
        return super()._validated(value)


class FormNumber(fields.Float):
    """A number with decimals, as a JSON number or as the text that a form's field holds."""

    default_error_messages = {"invalid": "Must be a number.", "required": "Is required.", "null": "Is required."}

    def __init__(self, *, min: float = 0, max: float, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(min, max, error=f"Must be between {min} and {max}."), **kwargs)

    def described(self, described: Described) -> Described:
        return {**described, "description": AS_TEXT}

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class RecordId(fields.Field[Any]):
    """The id of a booking or another row as number or text, made into text: a UUID or a positive whole number."""

    default_error_messages = {"invalid": "Is not a valid id.", "required": "Is required.", "null": "Is required."}

    parse: Callable[[object], str | None] = staticmethod(parse_id)

    def described(self, described: Described) -> Described:
        number = {"type": "integer", "minimum": 1, "maximum": MAX_BIGINT}
        texts = [{"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, {"type": "string", "format": "uuid"}]
        return {**described, "anyOf": [number, *texts]}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        record_id = self.parse(value)
        if record_id is None:
            raise self.make_error("invalid")
        return record_id

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value


class UuidText(RecordId):
    """A UUID, as text."""

    parse = staticmethod(parse_uuid)

    def described(self, described: Described) -> Described:
        return {**described, "type": "string", "format": "uuid"}


def length(min: int, max: int) -> validate.Length:
    """A length in characters, said in a sentence."""
    if min == max:
        return validate.Length(equal=min, error=f"Must have {min} characters.")
    error = f"Must have at most {max} characters." if not min else f"Must have between {min} and {max} characters."
    if min == 1:
        error = f"May not be empty or have more than {max} characters."
    return validate.Length(min=min, max=max, error=error)
