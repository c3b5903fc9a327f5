"""A page of a list: how it is asked for, and how it says where it lies."""

from typing import TypedDict

from marshmallow import fields, validate

from service.fields import Schema


class Page(TypedDict):
    """The query of a list, checked."""

    page: int
    limit: int


class Pagination(TypedDict):
    """Where an answered page lies in its list."""

    page: int
    limit: int
    total: int
    totalPages: int


def limit_field(default: int | None = 50) -> fields.Integer:
    """How many rows a page has; ``default`` where the caller does not say."""
    return fields.Integer(load_default=default, validate=validate.Range(1, 100, error="Must be between 1 and 100."))


class PageSchema(Schema):
    page = fields.Integer(load_default=1, validate=validate.Range(1, 1_000_000, error="Must be 1 or more."))
    limit = limit_field()


class PaginationSchema(Schema):
    page = fields.Integer()
    limit = fields.Integer()
    total = fields.Integer()
    totalPages = fields.Integer()


def paginate(query: Page, total: int) -> Pagination:
    """Where the page asked for lies in a list of so many."""
    limit = query["limit"]
    return {"page": query["page"], "limit": limit, "total": total, "totalPages": -(-total // limit)}
