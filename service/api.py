"""Our flavour of flask-smorest: bad input answers 400 in the contract's shape, and the description says so."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import flask_smorest
import swagger_ui_bundle
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask, Response, send_from_directory
from marshmallow import fields
from webargs import core
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import HTTPException, UnsupportedMediaType
from werkzeug.wrappers import Response as BaseResponse

from service import errors
from service.fields import ChangeSchema, Schema
from service.guards import public

Answer = Mapping[str, object]  # what a view answers; its schema writes it out
Shape = Schema | type[Schema]
View = TypeVar("View", bound=Callable[..., object])
DOCS_ASSETS = next(Path(swagger_ui_bundle.__file__).parent.glob("vendor/swagger-ui-*"))
# What the page asks for. Beside them lies Swagger's own start page, which loads a foreign API.
DOCS_FILES = {"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"}


class ErrorSchema(Schema):
    """The body of every error."""

    error = fields.String(required=True, metadata={"description": "A sentence for the person"})
    code = fields.String(required=True, metadata={"description": "A stable slug for the program"})
    details = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "Field to sentence, for bad input"}
    )


class DoneSchema(Schema):
    """The answer to a change that has nothing to show."""

    success = fields.Boolean()
    message = fields.String()


class MessageSchema(Schema):
    message = fields.String(required=True)


class Parser(FlaskParser):
    """Reads bodies strictly: JSON by its content type, without NaN or infinities, and 400 where it is bad."""

    DEFAULT_VALIDATION_STATUS = 400

    def _raw_load_json(self, req: Any) -> Any:
        body = req.get_data(cache=True)
        req.stream.read(1)  # where a body in chunks was cut at the limit, this raises RequestEntityTooLarge
        if not body:
            return core.missing
        if not core.is_json(req.mimetype):
            raise UnsupportedMediaType()
        try:
            return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
        except (ValueError, RecursionError) as error:  # also NaN, numbers with thousands of digits, deep nesting
            self._handle_invalid_json_error(error, req)

    def _handle_invalid_json_error(self, error: Any, req: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise errors.BadInput("The body is not valid JSON.", code="invalid_json")


class Blueprint(flask_smorest.Blueprint):
    """A Flask blueprint with ``arguments`` and ``response``, which have no types at home."""

    ARGUMENTS_PARSER = Parser()

    def arguments(self, schema: Shape, **kwargs: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], super().arguments(schema, **kwargs))

    def response(self, status_code: int, schema: Shape | None = None, **kwargs: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], super().response(status_code, schema, **kwargs))

    @staticmethod
    def doc(**kwargs: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], flask_smorest.Blueprint.doc(**kwargs))


class Converter(OpenAPIConverter):
    """Describes what callers send as strictly as it is read, see service/fields.py."""

    def field2property(self, field: fields.Field[Any]) -> dict[str, Any]:
        described: dict[str, Any] = super().field2property(field)
        if hasattr(field, "described"):
            described = {key: value for key, value in described.items() if not key.startswith("x-")}
            described = {key: value for key, value in field.described(described).items() if value is not None}
        return described

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        described: dict[str, Any] = super().schema2jsonschema(schema)
        if isinstance(schema, ChangeSchema) and not described.get("required"):
            any_of = [{"required": [name]} for name in described.get("properties", ())]
            described.update({"anyOf": any_of} if any_of else {"minProperties": 1})
        return described


class Described(MarshmallowPlugin):
    Converter = Converter


class Api(flask_smorest.Api):
    """Registers blueprints with their description; all errors go through service.errors."""

    ERROR_SCHEMA: type[Schema] = ErrorSchema  # type: ignore[assignment]

    def handle_http_exception(self, error: HTTPException) -> BaseResponse:
        return errors.answer_http_error(error)


def init_app(app: Flask) -> Api:
    """The API's description at /api/openapi.json, and a page to read it at /api/docs that needs no network."""
    app.config.update(
        API_TITLE="JKLG Travel",
        API_VERSION="1.0.0",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="docs",
        OPENAPI_SWAGGER_UI_URL="/api/docs/assets/",
        OPENAPI_SWAGGER_UI_CONFIG={"validatorUrl": None},  # which is a foreign host by default
        API_SPEC_OPTIONS={
            "info": {"description": "Customers, payments and mail of a travel agency, directly over Supabase."},
            "security": [{"bearer": []}],
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
        },
    )
    documented = Api(app, spec_kwargs={"marshmallow_plugin": Described()})
    app.add_url_rule("/api/docs/assets/<path:name>", "docs_assets", public(_docs_asset))
    return documented


def _docs_asset(name: str) -> Response:
    if name not in DOCS_FILES:
        raise errors.NotFound
    return send_from_directory(DOCS_ASSETS, name, max_age=86400)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
