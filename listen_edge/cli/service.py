"""The command service: `watch` as a systemd service. It writes the unit and says what to run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from listen_edge.cli.options import PATH
from listen_edge.environment import environment_of_others
from listen_edge.errors import ListenEdgeError, require
from listen_edge.printable import escaped, printable

_BOOTED = Path("/run/systemd/system")  # sd_booted(3): there while systemd runs the machine
_SHOWN = "ActiveState,SubState,StatusText,NRestarts,ActiveEnterTimestamp,MemoryCurrent"
_MANAGER = click.option(
    "--user/--system",
    "is_user",
    default=None,
    help="Whose service manager: yours, with your desktop's sound server, or the machine's.  "
    "[default: the machine's for root, else yours]",
)
_FORCE = click.option("--force", is_flag=True, help="Also a unit that was changed since.")


@click.group("service")
def service_group() -> None:
    """Run `watch` as a systemd service, for months."""


def _credentials(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (equals and path) or name in found:
            raise click.BadParameter(f"{escaped(one)!r}: expected NAME=FILE, each name once")
        found[name] = Path(path)
    return found


@service_group.command()
@_MANAGER
@click.option("--config", type=PATH, required=True, help="The configuration that it listens by.")
@click.option("--run-as", metavar="USER", help="An account.  [default: one made for it]")
@click.option(
    "--credential",
    "credentials",
    metavar="NAME=FILE",
    multiple=True,
    callback=_credentials,
    help="A secret that only root can read, see docs/running.md; repeatable.",
)
@click.option("--local-only", is_flag=True, help="Let no packet leave this machine.")
@click.option("--print", "is_shown", is_flag=True, help="Print the unit; write nothing.")
@_FORCE
def install(
    is_user: bool | None,
    config: Path,
    run_as: str | None,
    credentials: dict[str, Path],
    local_only: bool,
    is_shown: bool,
    force: bool,
) -> None:
    """Write the unit, and print what starts it."""
    from listen_edge.runtime.service.unit import (
        UnitConfig,
        check_reach,
        unit_path,
        unit_text,
        write_unit,
    )

    is_user = _is_user(is_user)
    unit = UnitConfig(
        config.absolute(),
        is_user,
        run_as=run_as,
        credentials=credentials,
        is_local_only=local_only,
    )
    if is_shown:
        click.echo(unit_text(unit).encode("utf-8", "surrogateescape"), nl=False)
        return
    require("pydantic", "service")
    if not config.is_file():
        raise ListenEdgeError(
            f"{printable(config)}: no such file; `listen-edge config init` writes one"
        )
    check_reach(unit)
    path = unit_path(is_user=is_user)
    write_unit(path, unit_text(unit), may_replace=force)
    click.echo(f"wrote {printable(path)}")
    _tell_next(is_user, credentials)


@service_group.command()
@_MANAGER
@_FORCE
def uninstall(is_user: bool | None, force: bool) -> None:
    """Delete the unit, and print what stops the service."""
    from listen_edge.runtime.service.unit import NAME, remove_unit, unit_path

    is_user = _is_user(is_user)
    path = unit_path(is_user=is_user)
    remove_unit(path, may_replace=force)
    click.echo(f"removed {printable(path)}")
    _tell("stop it", _systemctl(is_user, f"disable --now {NAME}; {_reload(is_user)}"))
    if not is_user:
        _tell("forget all", "rm -r /var/lib/private/listen-edge /var/cache/private/listen-edge")


@service_group.command()
@_MANAGER
def status(is_user: bool | None) -> None:
    """Tell whether the unit is there, is as it was written, and runs."""
    from listen_edge.runtime.service.unit import NAME, unit_path, unit_state

    is_user = _is_user(is_user)
    path = unit_path(is_user=is_user)
    state = unit_state(path)
    if state == "missing":
        raise ListenEdgeError(f"{printable(path)}: there is no such unit; see `service install`")
    _tell("unit", f"{printable(path)}, {state}")
    if not _BOOTED.is_dir():
        _tell("running", "unknown: systemd does not run this machine")
        return
    words = ["systemctl", *(["--user"] if is_user else []), "show", NAME, f"--property={_SHOWN}"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=10,
        errors="replace",
        env=environment_of_others(),
    )
    if done.returncode:
        raise ListenEdgeError(f"systemctl: {escaped(' '.join(done.stderr.split()))}")
    for line in done.stdout.splitlines():
        click.echo(escaped(line))


def _is_user(chosen: bool | None) -> bool:
    return os.geteuid() != 0 if chosen is None else chosen


def _tell_next(is_user: bool, credentials: dict[str, Path]) -> None:
    from listen_edge.runtime.service.unit import NAME

    _tell("start it", f"{_reload(is_user)} && {_systemctl(is_user, f'enable --now {NAME}')}")
    _tell("its log", f"journalctl {'--user ' if is_user else ''}-u {NAME} -f")
    if is_user:
        _tell("while you are logged out", "loginctl enable-linger")
    for name in credentials:
        _tell(f"secret {name}", f"it finds /run/credentials/{NAME}.service/{name}")


def _reload(is_user: bool) -> str:
    return _systemctl(is_user, "daemon-reload")


def _systemctl(is_user: bool, words: str) -> str:
    return f"systemctl {'--user ' if is_user else ''}{words}"


def _tell(label: str, words: str) -> None:
    click.echo(f"{label + ':':<12} {words}")
