"""`make errors`: writes docs/errors.md, every code that callers are told, from service/ and supabase/schemas."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from werkzeug.http import HTTP_STATUS_CODES

from service import errors, ids
from service.errors import NotFound, ServiceError
from service.payments.gateways.stripe import CONFLICTS
from tools.migration import SUPABASE, schema_paths
from tools.project import PROJECT

CATALOGUE = PROJECT / "docs" / "errors.md"
HEAD = """\
# Error codes

Written by `make errors` from `service/` and `supabase/schemas`; a test holds it fresh.

Every error is `{"error": sentence, "code": code}`. The code stays, the sentence may be worded anew; … stands for what
differs from case to case. `validation_failed` has `details` as well, a sentence for each field. 429 and 503 carry the
header `Retry-After`. Through `/rest/v1` the database answers in PostgREST's shape: the code is its `hint`.
"""
FOOT = """
What a bank or a gateway says of a payment goes on in its own word beside these: 402 with a
[decline code](https://docs.stripe.com/declines/codes), 502 with an [error code](https://docs.stripe.com/error-codes) of
Stripe or a [reason](https://razorpay.com/docs/errors) of Razorpay.
"""
RAISE = re.compile(r"raise sqlstate 'PT(\d{3})' using((?:'(?:[^']|'')*'|[^';])*);")
HINT = re.compile(r"hint = '([^']*)'")
MESSAGE = re.compile(r"message = ((?:'(?:[^']|'')*'|\((?:'(?:[^']|'')*'|[^)'])*\)|[^,'])*)")
LITERAL = re.compile(r"'((?:[^']|'')*)'(\s*\|\|)?")


class Refusal(NamedTuple):
    status: int
    code: str
    sentence: str


def main() -> int:
    CATALOGUE.write_text(catalogue())
    return 0


def catalogue() -> str:
    """The text of docs/errors.md."""
    parts = [HEAD]
    found = sorted(set(refusals()))
    for status in sorted({each.status for each in found}):
        parts.append(f"\n## {status} {HTTP_STATUS_CODES[status]}\n\n| code | sentence |\n|---|---|\n")
        for code in sorted({each.code for each in found if each.status == status}):
            said = [each.sentence for each in found if (each.status, each.code) == (status, code) and each.sentence]
            parts.append(f"| `{code}` | {' · '.join(said)} |\n")
    return "".join([*parts, FOOT])


def refusals() -> Iterator[Refusal]:
    """All that callers are told, in no order."""
    for status, (code, sentence) in errors.SENTENCES.items():
        yield Refusal(status, code, sentence)
    for thing in {thing for _, thing in ids.IN_ADDRESSES.values()}:
        yield of(NotFound.of(thing))
    for code, sentence in CONFLICTS.items():
        yield Refusal(409, code, sentence)
    found = modules()
    kinds = {
        name: kind
        for module in found
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, ServiceError)
    }
    yield from map(of, kinds.values())
    for module in found:
        yield from of_module(module, kinds)
    for path in schema_paths():
        yield from of_sql((SUPABASE / "schemas" / path).read_text())


def modules() -> list[ModuleType]:
    """Every module of the service."""
    paths = sorted((PROJECT / "service").rglob("*.py"))
    names = [".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [importlib.import_module(name) for name in names]


def of(error: ServiceError | type[ServiceError]) -> Refusal:
    return Refusal(error.status, error.code, error.message)


def of_module(module: ModuleType, kinds: dict[str, type[ServiceError]]) -> Iterator[Refusal]:
    """What the calls of errors in a module say."""
    tree = ast.parse(Path(module.__file__ or "").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).removeprefix("errors.")
            code = _keyword(node, "code")
            if called in kinds and (code is None or isinstance(code, str)):
                kind = kinds[called]
                sentence = _text(node.args[0], tree, module) if node.args else kind.message
                yield Refusal(_keyword(node, "status") or kind.status, code or kind.code, sentence)
            elif called == "NotFound.of" and isinstance(node.args[0], ast.Constant):
                yield of(NotFound.of(str(node.args[0].value)))


def of_sql(text: str) -> Iterator[Refusal]:
    """What the functions of an SQL file raise as PTnnn."""
    for status, options in RAISE.findall(text):
        code, message = HINT.search(options), MESSAGE.search(options)
        literals = LITERAL.findall(message[1]) if message else []
        for literal, goes_on in literals:
            sentence = literal.replace("''", "'") + ("…" if goes_on else "")
            yield Refusal(int(status), code[1] if code else "", re.sub(r"%\w", "…", sentence))


def _keyword(node: ast.Call, name: str) -> Any:
    """The value of a keyword argument: None without one, an expression where it is no constant."""
    value = next((each.value for each in node.keywords if each.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else value


def _text(node: ast.expr, tree: ast.Module, module: ModuleType) -> str:
    """The text of an expression with … for what it takes from elsewhere; "" where it is all from elsewhere."""
    if isinstance(node, ast.Constant):
        return str(node.value or "")
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
    if isinstance(node, ast.Name):
        if isinstance(found := getattr(module, node.id, None), str):
            return found
        for each in ast.walk(tree):
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == node.id:
                return str(each.value.value) if isinstance(each.value, ast.Constant) else ""
    return ""


if __name__ == "__main__":
    sys.exit(main())
