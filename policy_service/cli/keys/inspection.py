"""`keys inspect`: what a pasted key is, without asking anybody."""

from __future__ import annotations

from typing import Any

import typer

from policy_service.cli.shared.options import AsJson
from policy_service.cli.shared.typed_key import key_from_stdin
from policy_service.model.api_key import KeyForm, key_form
from policy_service.model.errors import UsageError


def inspect_key(context: typer.Context, as_json: AsJson = False) -> int:
    """Tell what a pasted key is, without asking anybody.

    It is read from standard input. Its prefix and public id are shown, never its secret, and whether it is whole.
    Whether it is known, or good, is not looked at. Exit code 0: it has the form and checksum of a key, 1: it has not.
    """
    text = key_from_stdin()
    if text is None:
        raise UsageError("no_key", "there is no key on standard input; paste one, or pipe it in")
    form = key_form(text.strip())
    if as_json:
        context.obj.screen.json(_document(form))
    else:
        context.obj.screen.line("a whole key" if form.problem is None else form.problem)
        context.obj.screen.fields([("prefix", form.prefix), ("id", form.id)] if form.id else [])
    return 0 if form.problem is None else 1


def _document(form: KeyForm) -> dict[str, Any]:
    return {"well_formed": form.problem is None, "prefix": form.prefix, "id": form.id, "problem": form.problem}
