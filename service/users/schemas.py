"""The marshmallow schemas of staff accounts: what is taken in and answered."""

from typing import Any

from marshmallow import fields, pre_load, validate

from service.fields import ChangeSchema, EmailAddress, Integer, Schema, Text
from service.passwords import NewPassword
from service.permissions import ROLES

STATUSES = ("Active", "Inactive")
role_check = validate.OneOf(ROLES, error=f"Must be one of {', '.join(ROLES)}.")
status_check = validate.OneOf(STATUSES, error="Must be Active or Inactive.")


class UsersQuerySchema(Schema):
    role = Text(max=40, empty_is_none=True)
    status = Text(max=40, empty_is_none=True)
    search = Text(max=200, empty_is_none=True)


class CreateUserSchema(Schema):
    name = Text(required=True, min=1, max=200)
    email = EmailAddress(required=True)
    phone = Text(max=50, allow_none=True)
    role = Text(required=True, validate=role_check)
    password = NewPassword(required=True)
    avatar = Text(max=500_000, allow_none=True)
    status = Text(validate=status_check)


class UpdateUserSchema(ChangeSchema):
    name = Text(min=1, max=200)
    email = EmailAddress()
    phone = Text(max=50, allow_none=True)
    role = Text(validate=role_check)
    password = NewPassword()
    avatar = Text(max=500_000, allow_none=True)
    status = Text(validate=status_check)

    @pre_load
    def drop_empty_password(self, data: Any, **_: Any) -> Any:
        """A form whose password field was left empty means no other password."""
        if isinstance(data, dict) and data.get("password") in ("", None):
            return {key: value for key, value in data.items() if key != "password"}
        return data


class SetStatusSchema(Schema):
    status = Text(required=True, validate=status_check)


class UserSchema(Schema):
    id = Integer()
    name = fields.String()
    email = fields.String()
    phone = fields.String(allow_none=True)
    role = fields.String()
    avatar = fields.String(allow_none=True)
    status = fields.String()
    last_login = fields.String(allow_none=True)
    created_at = fields.String()


class UsersAnswerSchema(Schema):
    success = fields.Boolean()
    data = fields.List(fields.Nested(UserSchema))


class UserAnswerSchema(Schema):
    success = fields.Boolean()
    message = fields.String()
    data = fields.Nested(UserSchema)
