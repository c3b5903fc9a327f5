"""Finding objects: one by its id, many as a page, and the ones that an answer is asked to expand."""

from collections.abc import Callable
from typing import Any

from localstripe import resources

from .parameters import invalid, missing

KINDS = {
    "pi_": "payment_intent",
    "ch_": "charge",
    "re_": "refund",
    "dp_": "dispute",
    "cus_": "customer",
    "pm_": "payment_method",
    "evt_": "event",
}
EXPANDABLE = {"customer", "latest_charge", "payment_method", "payment_intent", "charge"}


def find(kind: str, id: str) -> Any:
    thing = resources.store.get(f"{kind}:{id}")
    if thing is None:
        raise missing(kind, id)
    return thing


def export(thing: Any) -> dict[str, Any]:
    """The object as an answer has it; of a deleted one only that it is."""
    if getattr(thing, "_deleted", False):
        return {"id": thing.id, "object": thing.object, "deleted": True}
    return thing._export()


def page(
    kind: str, params: dict[str, Any], keep: Callable[[Any], bool], things: list[Any] | None = None
) -> dict[str, Any]:
    """Newest first, `limit` (1–100, default 10) after or before the named object (docs.stripe.com/api/pagination).

    Of all `things` of the kind, oldest first; by default those in the store.
    """
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    if things is None:  # of one second, the later made last
        things = sorted(resources.store.of_kind(kind), key=lambda thing: thing.created)
    found = [thing for thing in things if keep(thing) and _within(thing, params.get("created"))]
    found.reverse()
    if cursor := params.get("starting_after"):
        found = found[_place(found, kind, cursor, "starting_after") + 1 :]
    shown = found[:limit]
    if cursor := params.get("ending_before"):
        found = found[: _place(found, kind, cursor, "ending_before")]
        shown = found[-limit:]
    path = f"/v1/{kind}s"
    return {
        "object": "list",
        "url": path,
        "has_more": len(found) > limit,
        "data": [export(thing) for thing in shown],
    }


def _place(found: list[Any], kind: str, id: str, param: str) -> int:
    for place, thing in enumerate(found):
        if thing.id == id:
            return place
    raise missing(kind, id, param)


def _within(thing: Any, created: Any) -> bool:
    if created is None:
        return True
    if isinstance(created, int):
        return thing.created == created
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(tests[name](thing.created, limit) for name, limit in created.items())


def expand(document: Any, paths: list[str]) -> Any:
    """Replace ids by their objects: latest_charge, data.customer, latest_charge.refunds …"""
    for path in paths:
        head, _, rest = path.partition(".")
        if isinstance(document, list):
            for item in document:
                expand(item, [path])
            continue
        if head == "refunds" and document.get("object") == "charge":
            document[head] = page("refund", {"limit": 100}, lambda refund: refund.charge == document["id"])
        elif head not in document or (isinstance(document[head], str) and head not in EXPANDABLE):
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        elif isinstance(document[head], str):
            document[head] = export(by_id(document[head]))
        if rest and document[head] is not None:
            expand(document[head], [rest])
    return document


def by_id(id: str) -> Any:
    """Any object, its kind told by the id's prefix."""
    kind = KINDS.get(id[: id.find("_") + 1])
    if kind is None:
        raise missing("object", id)
    return find(kind, id)
