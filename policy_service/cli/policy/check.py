"""`policy check|show|schema`: what authors run on a folder of rule files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from policy_service.cli.policy.diagnostic_formats import Format, show_formatted
from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import DiagnosticFormat, PolicyFolder
from policy_service.cli.policy.report import Checked, check_folder, located, show_checked
from policy_service.cli.policy.store import PREFIX, stored_files
from policy_service.cli.policy.text import policy_document, show_policy
from policy_service.cli.policy.watch import watch_folder
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir, Url
from policy_service.cli.shared.output import write_file
from policy_service.engine.link import compile_policy
from policy_service.language.load import load_policy
from policy_service.language.memory import Memory
from policy_service.language.policy import Policy
from policy_service.language.schema import schemas
from policy_service.model.errors import PolicyErrors
from policy_service.service.policies.policy_folder import load_folder


def check_policy(
    context: typer.Context,
    folder: PolicyFolder = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again at every save, until Ctrl-C.")] = False,
    chosen: DiagnosticFormat = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Report every mistake of every file.

    Exit code 0: the files could be published (there may be warnings), 1: there are errors.
    """
    session: Session = context.obj
    path, memory = chosen_folder(folder), Memory()

    def once() -> Checked:
        checked = check_folder(path, memory)
        if chosen is Format.TEXT or as_json:
            show_checked(session.screen, checked, as_json=as_json, on_one_line=watch)
        else:
            show_formatted(session.screen, [located(one, path) for one in checked.diagnostics], chosen)
        return checked

    if watch:
        watch_folder(path, once, session.screen, time.sleep)
        return 0
    return 0 if once().is_good else 1


def show(
    context: typer.Context,
    folder: PolicyFolder = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="Show the Python that decides.")] = False,
    active: Annotated[bool, typer.Option("--active", help="Show the bundle that decides.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what rule files mean, or their compiled form.

    Those of a folder, or of a published bundle by its digest.
    """
    session: Session = context.obj
    if active or PREFIX.fullmatch(str(folder)):
        policy = load_policy(stored_files(session, None if active else str(folder), data_dir, url))
    else:
        policy = _loaded(chosen_folder(folder))
    if compiled:
        source = compile_policy(policy).source
        if as_json:
            session.screen.json({"digest": policy.digest, "source": source})
        else:
            session.screen.block(source)
    elif as_json:
        session.screen.json(policy_document(policy))
    else:
        show_policy(session.screen, policy)


def _loaded(path: Path) -> Policy:
    loaded = load_folder(path)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    return loaded.policy


def write_schemas(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write one file each, such as policies/.schemas.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print JSON Schemas of the rule files, or write them.

    The shipped files refer to policies/.schemas: editors complete and underline by them.
    """
    session: Session = context.obj
    found = schemas()
    if out is None:
        session.screen.json(found)
        return
    for name, schema in found.items():
        write_file(out / name, json.dumps(schema, ensure_ascii=False, indent=2) + "\n")
    written = [str(out / name) for name in found]
    if as_json:
        session.screen.json({"written": written})
        return
    for name in written:
        session.screen.line(name)
