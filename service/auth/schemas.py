"""The marshmallow schemas of staff sign-in: what is taken in and answered."""

from marshmallow import fields, validate

from service.fields import Integer, Schema, Text
from service.ids import MAX_INTEGER
from service.passwords import NewPassword, Password


class StaffLoginSchema(Schema):
    email = Text(required=True, min=1, max=254)
    password = Password(required=True)


class StaffMemberSchema(Schema):
    id = Integer()
    email = fields.String()
    name = fields.String()
    role = fields.String()


class StaffLoggedInSchema(Schema):
    token = fields.String()
    user = fields.Nested(StaffMemberSchema)


class StaffSessionsQuerySchema(Schema):
    staff_id = fields.Integer(
        data_key="staffId", validate=validate.Range(1, MAX_INTEGER, error="Is not the id of a staff account.")
    )


class VerifiedSchema(Schema):
    valid = fields.Boolean()
    user = fields.Dict(metadata={"description": "The claims of the token"})


class ChangeStaffPasswordSchema(Schema):
    email = Text(required=True, min=1, max=254)
    current_password = Password(required=True, data_key="currentPassword")
    new_password = NewPassword(required=True, data_key="newPassword")


class AcceptInvitationSchema(Schema):
    staff_id = Integer(required=True, data_key="staffId", min=1, max=MAX_INTEGER)
    token = Text(required=True, min=1, max=200)
    password = NewPassword(required=True)
