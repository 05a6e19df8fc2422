"""The command line: `pointstore serve`, `restore`, `check`, `version`.

What a command needs is imported in it: the supervisor must never load grpc or the engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from pydantic import ValidationError

from pointstore import __version__
from pointstore.config import SETTINGS_VARIABLE, Settings
from pointstore.config_sources import load_settings
from pointstore.logs import configure_logs

app: Final = typer.Typer(
    help="A vector storage service that speaks Qdrant's gRPC API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_USAGE: Final = 2
"""Exit status of a command that could not do its work, or not all of it."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Name or address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port, 0 for a free one [6334].")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of everything that is kept [./data].")] = None,
    workers: Annotated[int | None, typer.Option(help="Serving processes [one a core].")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; see pointstore/config.py.")] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Every setting can also be given as POINTSTORE__NAME in the environment."""
    from pointstore.supervisor import Supervisor

    settings = _load_settings(config, host=host, port=port, data_dir=data_dir, workers=workers)
    configure_logs(role="supervisor", level=settings.log_level, as_json=settings.log_json)
    raise typer.Exit(Supervisor(settings).run())


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A data directory that no server uses.")],
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make indexes and counters again, remove leftovers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a data directory. Exit status 0: nothing is damaged; 1: something is; 2: not all can be checked."""
    import json

    from pointstore.claims import ClaimRefusedError, DataDirClaim

    settings = _load_settings(None, refused=_USAGE)
    configure_logs(role="check", level="error", as_json=as_json)
    try:
        claim = DataDirClaim.hold(directory)
    except ClaimRefusedError as refusal:
        _refuse(str(refusal), _USAGE)
    from pointstore.engine.check import check as check_directory

    try:
        report = check_directory(directory, map_size=settings.map_size, repair=repair)
    except OSError as error:
        _refuse(f"{error.filename or directory} cannot be checked: {error.strerror}", _USAGE)
    claim.release()
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else "\n".join(report.lines()))
    raise typer.Exit(1 if report.damaged else 0 if report.clean else _USAGE)


@app.command()
def restore(
    snapshot: Annotated[Path, typer.Argument(help="File of a snapshot.")],
    data_dir: Annotated[Path | None, typer.Option(help="Where to; no server may run on it [./data].")] = None,
    collection: Annotated[str | None, typer.Option(help="Another name for the collection of the snapshot.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; see pointstore/config.py.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace collections and aliases of the same names.")] = False,
) -> None:
    """Bring back a collection, or everything, from a snapshot; it is checked as a whole first."""
    settings = _load_settings(config, data_dir=data_dir)
    configure_logs(role="restore", level=settings.log_level, as_json=settings.log_json)
    from pointstore.claims import ClaimRefusedError, DataDirClaim
    from pointstore.core.errors import PointstoreError
    from pointstore.engine.restore import Restore

    asked = Restore(snapshot, settings.data_dir, collection, force, settings.map_size, settings.catalog_map_size)
    try:
        asked.inspect()
        claim = DataDirClaim.take(settings.data_dir)
        restored = asked.run(lambda root: _check_in_child(settings, root))
        claim.release()
    except (ClaimRefusedError, PointstoreError) as error:
        _refuse(f"nothing was restored: {error}")
    except OSError as error:
        _refuse(f"nothing was restored: {error.filename or snapshot}: {error.strerror}")
    for name, points in restored.points.items():
        typer.echo(f"restored collection `{name}` ({points} points)")
    for alias, name in restored.aliases.items():
        typer.echo(f"restored alias `{alias}` of collection `{name}`")


def _check_in_child(settings: Settings, root: Path) -> None:
    """Run `check-unpacked`."""
    from pointstore.core.errors import CorruptionError

    child = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "pointstore", "check-unpacked", str(root)],
        env={**os.environ, SETTINGS_VARIABLE: settings.model_dump_json()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Whatever libraries say of a store that is damaged on purpose: one line tells that it is.
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if child.returncode:
        reason = child.stdout or f"not a usable snapshot: reading it ended a process with {child.returncode}"
        raise CorruptionError(reason)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"pointstore {__version__}")


def _load_settings(config: Path | None, *, refused: int = 1, **given: object) -> Settings:
    """Read the settings, or end the program with what is wrong with them and the status `refused`."""
    try:
        return load_settings(config, **given)
    except FileNotFoundError as error:
        _refuse(f"there is no configuration file {error}", refused)
    except ValidationError as error:
        _refuse(
            "invalid settings: "
            + "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()),
            refused,
        )


def _refuse(reason: str, status: int = 1) -> NoReturn:
    """End the program with a reason on standard error."""
    sys.stderr.write(f"pointstore: {reason}\n")
    raise typer.Exit(status)
