"""`/docs`: the OpenAPI document as one self-contained page. It loads nothing from anywhere and runs no script."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

from policy_service.api.codes import CODES
from policy_service.model.reasons import REASONS

Json = dict[str, Any]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f6;padding:.8rem;overflow:auto}"
    "summary{cursor:pointer;padding:.3rem 0}summary b{display:inline-block;min-width:4.5rem}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}:target{background:#fff3c4}"
)


def docs_page(document: Json, legacy_header: str | None) -> str:
    """The page. Everything from the document is escaped."""
    title = escape(document["info"]["title"])
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>',
        f"<h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>",
        '<p><a href="openapi.json">openapi.json</a></p>',
        *_operations(document),
        "<h2>Problem codes</h2><table>",
        *(_code(code, meaning) for code, meaning in _meanings().items()),
        "</table>",
        _legacy(legacy_header),
        "<h2>Schemas</h2>",
        *(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _meanings() -> dict[str, str]:
    """Codes of this service, and the reasons that refuse a caller."""
    reasons = {reason.code: f"{reason.http_status}. {reason.message}" for reason in REASONS.values() if reason.check}
    return {**CODES, **reasons}


def _operations(document: Json) -> list[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    return [f"<h2>{escape(tag)}</h2>{''.join(operations)}" for tag, operations in by_tag.items()]


def _operation(path: str, method: str, operation: Json) -> str:
    head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    parts = [f'<details id="{escape(operation["operationId"])}"><summary>{head}</summary><table>']
    for parameter in operation.get("parameters", []):
        told = f"{parameter['in']}. {parameter.get('description', '')}"
        parts.append(_row(parameter["name"], told))
    if "requestBody" in operation:
        parts.append(_row("body", _link(operation["requestBody"])))
    parts += [
        _row(status, f"{escape(answer['description'])} {_link(answer)}")
        for status, answer in operation["responses"].items()
    ]
    return "".join(parts) + "</table></details>"


def _row(name: str, told: str) -> str:
    return f"<tr><th><code>{escape(name)}</code></th><td>{told}</td></tr>"


def _code(code: str, meaning: str) -> str:
    return f'<tr id="{escape(code)}"><th><code>{escape(code)}</code></th><td>{escape(meaning)}</td></tr>'


def _link(holder: Json) -> str:
    """A link to the schema of the first media type, where it is a named one."""
    for media, content in holder.get("content", {}).items():
        name = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
        if name:
            return f'<a href="#schema-{escape(name)}">{escape(name)}</a> ({escape(media)})'
    return ""


def _schema(name: str, schema: Json) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>'
    )


def _legacy(header: str | None) -> str:
    if header is None:
        return ""
    return (
        f'<h2 id="legacy-header">{escape(header)}</h2><p>Deprecated. Callers may still show their key in this header; '
        "answers then carry <code>Deprecation</code>, <code>Sunset</code> and <code>Link</code>. "
        "Send <code>Authorization: Bearer …</code> instead.</p>"
    )
