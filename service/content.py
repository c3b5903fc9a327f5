"""The routes of one content table, made from its name and columns: destinations, packages, gallery, testimonials.

The four are alike: staff lists, shows, makes, changes and deletes rows, each verb with a permission of its own.
"""

import functools
from typing import Any

from marshmallow import fields

from service.api import Answer, Blueprint, DoneSchema
from service.database import Row, one, run, table
from service.errors import BadInput
from service.fields import Changes, ChangeSchema, FormInteger, RecordId, Schema, Text, TextOrNumber, length
from service.guards import staff_required


class Line(Text):
    """One line of text that may be missing."""

    def __init__(self, *, max: int = 300, **kwargs: Any) -> None:
        super().__init__(max=max, allow_none=not kwargs.get("required"), **kwargs)


class Measure(Line, TextOrNumber):
    """A measure as somebody wrote it, "822 m"; a bare number is taken as its text."""


class Paragraphs(Text):
    """Text of several lines that may be missing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max=20_000, multiline=True, allow_none=not kwargs.get("required"), **kwargs)


class Image(Text):
    """The address of a picture, or the picture itself as a data: URL, as the site's forms make them."""

    def __init__(self) -> None:
        super().__init__(max=900_000, allow_none=True)


class Lines(fields.List[str]):
    """A list of short texts (text[])."""

    def __init__(self) -> None:
        super().__init__(Text(max=500), validate=length(0, 100))


class Rating(FormInteger):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min=1, max=5, **kwargs)


class Content:
    """The rows of one table, by the ids that addresses name. All raise ``NotFound``."""

    def __init__(self, name: str, noun: str) -> None:
        self.name = name
        self.noun = noun

    def all(self) -> list[Row]:
        """All rows, newest first."""
        return run(table(self.name).select("*").order("id", desc=True))

    def get(self, row_id: str) -> Row:
        return one(table(self.name).select("*").eq("id", row_id), self.noun)

    def create(self, values: Changes) -> Row:
        return one(table(self.name).insert(values), self.noun)

    def update(self, row_id: str, changes: Changes) -> Row:
        return self._write(row_id, table(self.name).update(changes))

    def delete(self, row_id: str) -> None:
        self._write(row_id, table(self.name).delete())

    def _write(self, row_id: str, query: Any) -> Row:
        try:
            return one(query.eq("id", row_id), self.noun)
        except BadInput:
            self.get(row_id)  # an id of another form than the table's is a missing row, not a bad value
            raise


@functools.cache
def answer_schemas(columns: type[Schema], noun: str) -> tuple[type[Schema], type[Schema]]:
    """The shapes of a row and of ``{success, data: row}``."""
    row = type(f"{noun}RowSchema", (columns,), {"id": RecordId(), "created_at": fields.String(allow_none=True)})
    answer = {"success": fields.Boolean(), "data": fields.Nested(row)}
    return row, type(f"{noun}AnswerSchema", (Schema,), answer)


def make_blueprint(name: str, module: str, columns: type[Schema], *, noun: str) -> Blueprint:
    """The blueprint of table ``name`` under /api/<name>; ``columns`` are those that staff may write."""
    content = Content(name, noun)
    blueprint = Blueprint(name, module, url_prefix=f"/api/{name}", description=f"{noun}s of the site")
    row_schema, data_schema = answer_schemas(columns, noun)
    changes_schema = type(f"Update{columns.__name__}", (ChangeSchema, columns), {})
    row = f"/<{noun.lower()}_id>"

    @blueprint.get("")
    @staff_required(f"{name}_view")
    @blueprint.response(200, row_schema(many=True))
    def list_rows() -> list[Row]:
        """List all, newest first"""
        return content.all()

    @blueprint.get(row)
    @staff_required(f"{name}_view")
    @blueprint.response(200, row_schema)
    def get_row(**named: str) -> Row:
        """Show one"""
        (row_id,) = named.values()
        return content.get(row_id)

    @blueprint.post("")
    @staff_required(f"{name}_create")
    @blueprint.arguments(columns)
    @blueprint.response(201, data_schema)
    def create_row(values: Changes) -> Answer:
        """Make one"""
        return {"success": True, "data": content.create(values)}

    @blueprint.put(row)
    @staff_required(f"{name}_edit")
    @blueprint.arguments(changes_schema(partial=True))
    @blueprint.response(200, data_schema)
    def update_row(changes: Changes, **named: str) -> Answer:
        """Change one: the fields that are sent"""
        (row_id,) = named.values()
        return {"success": True, "data": content.update(row_id, changes)}

    @blueprint.delete(row)
    @staff_required(f"{name}_delete")
    @blueprint.response(200, DoneSchema)
    def delete_row(**named: str) -> Answer:
        """Delete one"""
        (row_id,) = named.values()
        content.delete(row_id)
        return {"success": True, "message": f"{noun} deleted successfully"}

    return blueprint
