"""What schemathesis can't know from the document: what there is, and how JSON is read and written a line at a time."""

import json
import os
import re

import schemathesis

# What the test put in place.
THERE = json.loads(os.environ["CONTRACT_THERE"])

# Why a request that keeps to the document is refused all the same: it depends on what there is, or on what was before.
# By operation, and by code or by the part of the request that is at fault.
UNFORESEEN = {
    "GET .*": {"invalid_cursor": "cursors are opaque: they come from the page before"},
    "(PATCH|DELETE) /api/v1/(documents|conversations)/{id}": {"precondition_failed": "so are tags"},
    "POST /api/v1/(documents|documents/upload|query|conversations)": {
        "idempotency_mismatch": "the key stands for another request already",
    },
    "POST /api/v1/query(/stream)?": {
        "unknown_backend": "the configuration names them",
        "/options": "5e-324 is above 0, but not so in 32 bits",
    },
    "POST /v1/chat/completions": {"/top_p": "the same", "/temperature": "the same"},
    "POST /api/v1/(admin/reindex|enrich|embed|documents|search|documents/search|query|query/stream)": {
        "unknown_collection": "not every collection exists",
    },
    "POST /api/v1/documents(/upload)?": {"unsupported_type": "the bytes of a text decide, and these are no text"},
    "POST /api/v1/(search|documents/search)": {"/alpha": "goes with one kind of fusion alone"},
    "POST /api/v1/documents/upload": {
        "/path": "in a form it stands before its file",
        "/metadata": "in a form it is JSON within a text",
    },
    "POST /api/v1/enrich": {"/enrichers": "the plugins are what is installed"},
    "GET /api/v1/analytics": {"?from": "no day of a calendar, or behind the end", "?to": "no day of a calendar"},
    "PUT /api/v1/collections/{name}/grants/{user_id}": {"/user_id": "an owner needs no grant"},
    "POST /(api/v1/embed|v1/.*)": {
        "/model": "each backend has models of its own, and there is one embedder",
        "/dimensions": "the embedder has so many",
    },
}


def is_unforeseen(operation, reasons):
    """Whether one of these reasons is no fault of this operation."""
    known = (places for pattern, places in UNFORESEEN.items() if re.fullmatch(pattern, operation))
    return any(reason in places for places in known for reason in reasons)


@schemathesis.serializer("application/x-ndjson")
def write_lines(context, value):
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@schemathesis.deserializer("application/x-ndjson")
def read_lines(context, response):
    lines = response.content.splitlines()
    # No lines are the answer to no lines.
    return json.loads(lines[0]) if lines else {"line": 1}


@schemathesis.deserializer("application/octet-stream", "application/pdf", "image/png", "image/jpeg")
def read_bytes(context, response):
    return response.content.decode("latin-1")


@schemathesis.hook
def before_call(context, case, kwargs):
    """A request that is meant to be good names what there is, so that more of it is done than looked up."""
    if not case.meta or case.meta.generation.mode.value != "positive":
        return
    for place in (case.query, case.body):
        if not isinstance(place, dict):
            continue
        for name in ("session_id", "conversation_id", "collection"):
            if isinstance(place.get(name), str) and case.method.upper() != "DELETE" and case.path != "/api/v1/sessions":
                place[name] = THERE[name]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what a check can't judge."""
    kind = type(failure).__name__
    if kind == "AcceptedNegativeData":
        # A batch fails a line at a time, within an answer of 200; what is sent in a form is text, null as well.
        return case.path not in ("/api/v1/documents/batch", "/api/v1/documents/upload")
    if kind != "RejectedPositiveData":
        return True
    fault = json.loads(response.content)
    if isinstance(fault.get("error"), dict):  # OpenAI's form
        fault = fault["error"]
    places = [error["pointer"] for error in fault.get("errors", [])]
    if fault.get("param"):
        places.append("/" + fault["param"].replace(".", "/"))
    if case.path == "/api/v1/documents/delete" and ("/filter" in places or not isinstance(case.body, dict)):
        return False  # wants a condition that is not empty, and schemathesis sends 0 where it finds none
    if "invalid type: floating point" in fault.get("detail", fault.get("message", "")):
        return False  # 46.0 is an integer for JSON Schema, and a number with a fraction here
    fields = ("/" + place.split("/")[1] if place.startswith("/") else place for place in places)
    reasons = [fault.get("code"), *fields]
    return not is_unforeseen(f"{case.method.upper()} {case.path}", reasons)


@schemathesis.hook
def before_load_schema(context, schema):
    """Filters that nest, in six bodies, would be nearly all there is to try: one level, without the nesting, is enough."""
    filters = schema["components"]["schemas"]["FilterBody"]
    for name in ("and", "or", "not"):
        del filters["properties"][name]
    filters["propertyNames"]["pattern"] = filters["propertyNames"]["pattern"].replace("and|or|not|", "")
