"""Checks what a call sends by the parameter types of the real SDK, and says no in Stripe's own error shape."""

import re
import sys
import typing
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from localstripe.errors import UserError
from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

# What Stripe.js adds to a call of its own accord.
BROWSER_EXTRAS = {
    "key",
    "payment_user_agent",
    "referrer",
    "guid",
    "muid",
    "sid",
    "time_on_page",
    "client_attribution_metadata",
    "expected_payment_method_type",
}


class Refusal(UserError):
    """An error answer. `saved` is False where Stripe would not keep it under the idempotency key (it began no work)."""

    def __init__(self, status: int, message: str, *, saved: bool = True, **fields: Any) -> None:
        super().__init__(status, message)
        self.saved = saved
        self.body["error"].update({name: value for name, value in fields.items() if value is not None})


def invalid(message: str, param: str, code: str | None = None) -> Refusal:
    return Refusal(400, message, saved=False, param=param, code=code)


def missing(kind: str, key: str, param: str = "id", status: int = 404) -> Refusal:
    """No such object; `status` is 400 where a parameter names it and not the path."""
    return Refusal(status, f"No such {kind}: '{key}'", code="resource_missing", param=param)


# Names of the request options' types, which the SDK's modules of parameters do not import.
ABSENT = {"StripeContext": Any, "Mapping": Mapping}


@cache
def hints(schema: type) -> dict[str, Any]:
    """Parameter name -> type, without the SDK's own request options (which never travel in the body)."""
    found = typing.get_type_hints(schema, vars(sys.modules[schema.__module__]), ABSENT)
    return {name: hint for name, hint in found.items() if name not in RequestOptions.__annotations__}


def check(params: dict[str, Any], schema: Any, supported: set[str] | None = None, within: str = "") -> dict[str, Any]:
    """`params` with the types of `schema`; raises Refusal for unknown, malformed and missing ones.

    `supported` names what the local Stripe models: a true Stripe parameter beyond it is refused rather than ignored.
    """
    known, result = hints(schema), {}
    for name, value in params.items():
        path = f"{within}[{name}]" if within else name
        if name not in known:
            raise invalid(f"Received unknown parameter: {path}", path, "parameter_unknown")
        if supported is not None and name not in supported | {"expand"}:
            raise invalid(f"The local Stripe does not model the parameter {path}", path, "local_stripe_unsupported")
        result[name] = _convert(value, known[name], path)
    for name in sorted((schema.__required_keys__ & known.keys()) - params.keys()):
        path = f"{within}[{name}]" if within else name
        raise invalid(f"Missing required param: {path}.", path, "parameter_missing")
    return result


def _convert(value: Any, hint: Any, path: str) -> Any:
    options: list[Any] = []
    words: list[Any] = []
    for option in _options(hint):
        if get_origin(option) is Literal:
            words += get_args(option)
        else:
            options.append(option)
    if value == "":
        if "" in words:
            return None
        raise invalid(
            f"You passed an empty string for '{path}', which cannot be unset: leave it out.",
            path,
            "parameter_invalid_empty",
        )
    words = [word for word in words if word != ""]
    # The SDK leaves its enumerations open ("a word | str"); Stripe itself does not.
    if words and all(option is str for option in options):
        if value not in words:
            raise invalid(f"Invalid {path}: must be one of {', '.join(words[:-1])} or {words[-1]}", path)
        return value
    for option in options:
        if _fits(value, option):
            return _shape(value, option, path)
    return _shape(value, options[0], path)


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) in (NotRequired, Required):
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [each for option in get_args(hint) for each in _options(option)]
    return [hint]


def _fits(value: Any, option: Any) -> bool:
    if isinstance(value, dict):
        return is_typeddict(option) or get_origin(option) is dict
    if isinstance(value, list):
        return get_origin(option) is list
    return option in (str, int, bool, float) or option is Any


def _shape(value: Any, option: Any, path: str) -> Any:
    if option in (int, bool, float):
        return _scalar(value, option, path)
    if is_typeddict(option):
        if not isinstance(value, dict):
            raise invalid("Invalid object", path)
        return check(value, option, within=path)
    if get_origin(option) is list:
        if not isinstance(value, list):
            raise invalid("Invalid array", path)
        return [_convert(item, get_args(option)[0], f"{path}[{i}]") for i, item in enumerate(value)]
    if get_origin(option) is dict:
        if not isinstance(value, dict):
            raise invalid("Invalid object", path)
        return dict(value)
    if option is str and not isinstance(value, str):
        raise invalid("Invalid string", path)
    return value


def _scalar(value: Any, option: type, path: str) -> int | bool | float:
    text = str(value).strip().lower()
    if option is bool:
        if text not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", path)
        return text == "true"
    if not re.fullmatch(r"-?[0-9]+" if option is int else r"-?[0-9]+(\.[0-9]+)?", text):
        raise invalid(f"Invalid integer: {value}", path, "parameter_invalid_integer")
    return option(text)


def merge_metadata(old: dict[str, str], new: dict[str, Any] | None) -> dict[str, str]:
    """Metadata after an update: an empty value removes its key, None (sent as "") removes all."""
    if new is None:
        return {}
    for name, value in new.items():
        if not isinstance(value, str):
            raise invalid("Metadata values must be strings", f"metadata[{name}]")
        if len(name) > 40:
            raise invalid(f"Metadata keys can have up to 40 characters, this one has {len(name)}.", "metadata")
        if len(value) > 500:
            raise invalid(f"Metadata values can have up to 500 characters, this one has {len(value)}.", "metadata")
    merged = {name: value for name, value in {**old, **new}.items() if value != ""}
    if len(merged) > 50:
        raise invalid("You can have up to 50 metadata keys.", "metadata")
    return merged
