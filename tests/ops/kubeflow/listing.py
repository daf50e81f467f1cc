"""Lists as the API server makes them: filters, order and pages (``backend/src/apiserver/list``)."""

import base64
import json
from urllib.parse import unquote_plus

MAX_PAGE = 200
DEFAULT_PAGE = 20
_OPERATIONS = {1: "EQUALS", 2: "NOT_EQUALS", 8: "IN", 9: "IS_SUBSTRING"}
_FIELDS = {
    "runs": "run_id id display_name name created_at finished_at description scheduled_at "
    "storage_state status namespace experiment_id state recurring_run_id",
    "pipeline_versions": "id pipeline_version_id name display_name created_at description",
    "experiments": "id experiment_id name display_name created_at namespace storage_state",
    "recurringRuns": "id recurring_run_id name display_name created_at updated_at description",
    "pipelines": "id pipeline_id name display_name created_at description namespace",
}
_NAME_IS_DISPLAY_NAME = ("runs", "experiments", "recurringRuns")


class Invalid(Exception):
    """The server answers 400."""


def page_of(field, items, query):
    """One page, as the answer's object."""
    known = _FIELDS[field].split()
    predicates = _predicates(query.get("filter", ""))
    kept = [item for item in items if all(_holds(field, known, item, one) for one in predicates)]
    key, descending = _order(query.get("sort_by", ""), known)
    kept.sort(key=lambda item: (str(item.get(key, "")), str(item)), reverse=descending)
    size = min(int(query.get("page_size") or 0) or DEFAULT_PAGE, MAX_PAGE)
    wanted = {"filter": query.get("filter", ""), "sort_by": query.get("sort_by", "")}
    begin = _begin(query.get("page_token", ""), wanted)
    answer = {"total_size": len(kept)} if kept else {}
    if kept[begin : begin + size]:
        answer[field] = kept[begin : begin + size]
    if begin + size < len(kept):
        token = json.dumps({"begin": begin + size, **wanted})
        answer["next_page_token"] = base64.b64encode(token.encode()).decode()
    return answer


def _predicates(text):
    if not text:
        return []
    # The server decodes what its HTTP library has decoded once already.
    decoded = unquote_plus(text)
    try:
        return json.loads(decoded.replace('"stringValue":', '"string_value":')).get(
            "predicates", []
        )
    except ValueError as error:
        raise Invalid(f"failed to parse valid filter from {text!r}") from error


def _holds(field, known, item, predicate):
    key = predicate["key"]
    if key not in known:
        raise Invalid(f"no support for filtering on unrecognized field {key!r}")
    if key == "name" and field in _NAME_IS_DISPLAY_NAME:
        key = "display_name"
    value, wanted = str(item.get(key, "")), predicate["string_value"]
    operation = _OPERATIONS.get(predicate["operation"], predicate["operation"])
    match operation:
        case "EQUALS":
            return value == wanted
        case "NOT_EQUALS":
            return value != wanted
        case "IS_SUBSTRING":
            return wanted in value
    raise Invalid(f"operation {operation!r}")


def _order(text, known):
    words = text.lower().split() or ["created_at"]
    if len(words) > 2 or words[0] not in known or words[1:] not in ([], ["asc"], ["desc"]):
        raise Invalid(f"Received invalid sort by format {text!r}")
    return words[0], words[1:] == ["desc"]


def _begin(token, wanted):
    if not token:
        return 0
    try:
        told = json.loads(base64.b64decode(token))
    except ValueError as error:
        raise Invalid("Invalid page token") from error
    if {key: told[key] for key in wanted} != wanted:
        raise Invalid("page token does not match the supplied sort by and/or filtering criteria")
    return told["begin"]
