"""The systemd unit of `listen-edge watch`: its text, and the file that it is kept in.

Knows nothing of what the service does. Nothing is run: systemctl is for the user to call.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from listen_edge.errors import ListenEdgeError
from listen_edge.printable import printable
from listen_edge.replacing import replacing

NAME = "listen-edge"
State = Literal["missing", "as written", "changed"]

_SYSTEM = Path("/etc/systemd/system")
_MARK = "# Written by `listen-edge service install`; sha256 of what follows: "
_PLAIN = re.compile(r"[\w./:=@+,-]+", re.ASCII)
_CREDENTIAL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))

_UNIT = """\
[Unit]
Description=listen-edge: is this sound there?
After=sound.target network.target{after}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=:{command}
ExecReload=/bin/kill -HUP $MAINPID
# The first start writes the LLM in the type that this processor likes.
TimeoutStartSec=300
TimeoutStopSec=10
# SIGTERM is for the main process alone: it closes its events, then its microphones.
KillMode=mixed
# Fed only while every source that should be heard is answered in time.
WatchdogSec=60
Restart=always
RestartSec=2
MemoryHigh=700M
MemoryMax=800M
TasksMax=256
# A dump of memory would keep sound.
LimitCORE=0
UMask=0077
Environment=PYTHONSAFEPATH=1
"""

# What a service manager may ask of the kernel without being root. MemoryDenyWriteExecute is not
# among it: before libffi 3.4 a callback, PortAudio's for one, needs such memory.
_RESTRICTED = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""

# ProcSubset=pid is not among it: /proc/cpuinfo tells which instructions this processor has.
_CONFINED = """\
{account}
SupplementaryGroups=audio
StateDirectory=listen-edge
StateDirectoryMode=0700
CacheDirectory=listen-edge
CacheDirectoryMode=0700
Environment=XDG_CACHE_HOME=%C
WorkingDirectory=%S/listen-edge
CapabilityBoundingSet=
AmbientCapabilities=
DevicePolicy=closed
DeviceAllow=char-alsa rw
KeyringMode=private
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome={home}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
"""

_LOCAL = """\
# Not a packet leaves this machine, whatever the configuration says.
IPAddressDeny=any
IPAddressAllow=localhost
"""


@dataclass(frozen=True)
class UnitConfig:
    """What of a unit is chosen.

    Attributes:
        config: absolute path of the service's configuration.
        is_user: for the user's own service manager, with the sound server of the desktop.
        program: words that run listen-edge, the first an absolute path.
        run_as: account; None: a user that exists only while the service runs.
        credentials: files that only root can read, by the name that the service finds them under.
        is_local_only: loopback alone may be talked to.

    Raises:
        ListenEdgeError: a part that no unit can hold, or that its own confinement would hide.
    """

    config: Path
    is_user: bool
    program: Sequence[str] = field(default=(sys.executable, "-m", "listen_edge"))
    run_as: str | None = None
    credentials: Mapping[str, Path] = field(default_factory=dict)
    is_local_only: bool = False

    def __post_init__(self) -> None:
        for path in (self.config, Path(self.program[0]), *self.credentials.values()):
            if not path.is_absolute():
                raise ListenEdgeError(f"{printable(path)}: a unit needs an absolute path")
        if self.is_user and (self.run_as or self.credentials or self.is_local_only):
            raise ListenEdgeError(
                "--run-as, --credential and --local-only are for --system: a user's own service "
                "manager cannot change accounts, read root's files or filter packets"
            )
        if self.run_as is not None and not _ACCOUNT.fullmatch(self.run_as):
            raise ListenEdgeError(f"--run-as {printable(self.run_as)}: expected an account's name")
        for name, path in self.credentials.items():
            if not _CREDENTIAL.fullmatch(name):
                raise ListenEdgeError(
                    f"--credential {printable(name)}: expected a name of a-z, 0-9, - and _"
                )
            if not str(path).isprintable() or "\\" in str(path) or str(path).strip() != str(path):
                raise ListenEdgeError(
                    f"--credential {name}={printable(path)}: a unit cannot hold this path; use "
                    "one without control characters, backslashes and spaces at its ends"
                )


def unit_text(config: UnitConfig) -> str:
    """Return the unit, its first line the hash of all others."""
    words = [*config.program, "watch", "--config", str(config.config)]
    after = " pipewire-pulse.service pulseaudio.service" if config.is_user else ""
    body = _UNIT.format(after=after, command=" ".join(map(_word, words))) + _RESTRICTED
    if not config.is_user:
        account = "DynamicUser=yes" if config.run_as is None else f"User={config.run_as}"
        home = "read-only" if any(_is_below(p, _HOMES) for p in needed_paths(config)) else "yes"
        body += _CONFINED.format(account=account, home=home)
        for name, path in config.credentials.items():
            body += f"LoadCredential={name}:{str(path).replace('%', '%%')}\n"
    body += _LOCAL if config.is_local_only else ""
    body += f"\n[Install]\nWantedBy={'default' if config.is_user else 'multi-user'}.target\n"
    return f"{_MARK}{_digest(body)}\n{body}"


def unit_path(*, is_user: bool) -> Path:
    """Return where the unit is kept."""
    if not is_user:
        return _SYSTEM / f"{NAME}.service"
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / f"systemd/user/{NAME}.service"


def unit_state(path: Path) -> State:
    """Tell whether a unit is there, and still as `write_unit` left it."""
    try:
        first, _, body = path.read_bytes().decode("utf-8", "surrogateescape").partition("\n")
    except FileNotFoundError:
        return "missing"
    return "as written" if first == f"{_MARK}{_digest(body)}" else "changed"


def write_unit(path: Path, text: str, *, may_replace: bool = False) -> None:
    """Keep a unit, whole or not at all.

    Args:
        may_replace: also one that was changed since, or comes from elsewhere.

    Raises:
        ListenEdgeError: there is such a unit.
    """
    _refuse_changed(path, may_replace, "replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        temporary.chmod(0o644)


def remove_unit(path: Path, *, may_replace: bool = False) -> None:
    """Delete a unit; ListenEdgeError: there is none, or see write_unit."""
    if unit_state(path) == "missing":
        raise ListenEdgeError(f"{printable(path)}: there is no such unit")
    _refuse_changed(path, may_replace, "removed")
    path.unlink()


def check_reach(config: UnitConfig) -> None:
    """Make sure that the service will see what it needs, and that nobody else decides on it.

    Raises:
        ListenEdgeError: something lies in /tmp, of which a service has its own; only some
            accounts may read it and the service has one made for it; or who may change it would
            gain the service's account or credentials by that.
    """
    if config.is_user:
        return
    owners = None if config.run_as is None and not config.credentials else _owners(config.run_as)
    for path in needed_paths(config):
        if _is_below(path, _TEMPORARY):
            raise ListenEdgeError(
                f"{printable(path)}: the service has a /tmp of its own; keep it elsewhere, such as "
                "in /etc/listen-edge or /opt"
            )
        if config.run_as is None and (closed := _closed(path)) is not None:
            raise ListenEdgeError(
                f"{printable(closed)}: the service's own account may not read it; chmod o+rX it "
                "(secrets go into files of their own, see --credential), or use --run-as or --user"
            )
        if (changeable := _changeable(path, owners)) is not None:
            raise ListenEdgeError(
                f"{printable(changeable)}: others could change what the service runs; let it "
                f"belong to root{' or --run-as' if config.run_as else ''}, and chmod o-w it"
            )


def needed_paths(config: UnitConfig) -> list[Path]:
    """Return what the service reads at its start: the configuration, the program, its packages."""
    packages = Path(__file__).parents[2]
    program = Path(config.program[0])
    return [config.config, program, program.resolve(), Path(sys.prefix), packages]


def _refuse_changed(path: Path, may_replace: bool, done: str) -> None:
    if unit_state(path) == "changed" and not may_replace:
        raise ListenEdgeError(
            f"{printable(path)}: was not written by this command, or changed since, and is not "
            f"{done}; put changes into `systemctl edit {NAME}`, or use --force"
        )


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _closed(path: Path) -> Path | None:
    """Return what of a path, or of the folders that lead to it, is not open to every account."""
    for part in (path, *path.parents):
        wanted = 0o005 if part.is_dir() else 0o004
        if part != path:
            wanted = 0o001
        if part.exists() and part.stat().st_mode & wanted != wanted:
            return part
    return None


def _owners(run_as: str | None) -> frozenset[int]:
    """Return root, and the account that the service runs as: what it may do they may anyway."""
    try:
        return frozenset({0} if run_as is None else {0, pwd.getpwnam(run_as).pw_uid})
    except KeyError:  # an account that is to be made yet
        return frozenset({0})


def _changeable(path: Path, owners: frozenset[int] | None) -> Path | None:
    """Return what of a path, its folders and where they lead to others could change or replace.

    Args:
        owners: user ids that may; None: any single one.
    """
    real = path.resolve()
    for part in (path, *path.parents, real, *real.parents):
        if part.exists():
            found = part.stat()
            is_shared = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
            if is_shared or (owners is not None and found.st_uid not in owners):
                return part
    return None


def _word(text: str) -> str:
    r"""Return a word of a command line as a unit has it: nothing in it is read as anything else.

    Source: systemd.service(5), "Command lines", and systemd.syntax(7), "Quoting". `$` needs no
    care: the colon in front of the command turns variables off.
    """
    if _PLAIN.fullmatch(text):
        return text
    return f'"{"".join(_escaped(text))}"'


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        if character in '\\"':
            yield f"\\{character}"
        elif character == "%":
            yield "%%"
        elif character.isprintable():
            yield character
        else:
            yield from (f"\\x{byte:02x}" for byte in os.fsencode(character))


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
