"""The unit of the service, as systemd itself reads it, and the command that writes it."""

from __future__ import annotations

import ast
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from listen_edge.cli.root import cli
from listen_edge.errors import ListenEdgeError
from listen_edge.runtime.service import unit as unit_module
from listen_edge.runtime.service.unit import UnitConfig, check_reach, unit_state, unit_text

CONFIG = Path("/etc/listen-edge/config.yaml")
SECRETS = {"mqtt": Path("/etc/listen-edge/100 %/mqtt password")}
UNITS = {
    "system": UnitConfig(CONFIG, False, credentials=SECRETS),
    "local-only": UnitConfig(CONFIG, False, is_local_only=True),
    "run-as": UnitConfig(CONFIG, False, run_as="listen"),
    "user": UnitConfig(CONFIG, True),
}
EXPOSURE = 2.0  # of 10; 1.9 where Python lies in somebody's home, 1.8 elsewhere
SYSTEMD = Path("/usr/lib/systemd/systemd")
ODD_WORDS = [
    "two words",
    " space at its ends ",
    "100 % and %h and %%",
    "new\nline\nExecStartPre=/bin/false",
    "tab\tand\rreturn",
    "a \"quotation\" and 'another'",
    "back\\slash\\n and at the end\\",
    "$HOME ${HOME} $$",
    "; semicolon ; and # hash",
    "-@:+!prefix",
    "ümlaut 🔔",
    os.fsdecode(b"not utf-8: \xff"),
    "",
]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture()
def open_folder() -> Iterator[Path]:
    """A folder that every account may read."""
    folder = Path(tempfile.mkdtemp(prefix="unit-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words, f"{folder}/listen-edge.service"],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_PAGER": "cat"},
    )


@needs("systemd-analyze")
@pytest.mark.parametrize("config", UNITS.values(), ids=UNITS.keys())
def test_systemd_has_nothing_against_the_unit(config: UnitConfig, open_folder: Path) -> None:
    (open_folder / "listen-edge.service").write_text(unit_text(config))
    done = _analyze(open_folder, *(["--user"] if config.is_user else []), "verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("systemd-analyze")
@pytest.mark.parametrize("name", ["system", "local-only", "run-as"])
def test_the_unit_exposes_little(name: str, open_folder: Path) -> None:
    (open_folder / "listen-edge.service").write_text(unit_text(UNITS[name]))
    threshold = f"--threshold={EXPOSURE * 10:.0f}"
    done = _analyze(open_folder, "security", "--offline=true", threshold)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed")
def test_systemd_reads_every_word_as_it_was_given(open_folder: Path) -> None:
    config = open_folder / "a b\n%n" / "config.yaml"
    program = (sys.executable, *ODD_WORDS)
    path = open_folder / "listen-edge.service"
    path.write_text(unit_text(UnitConfig(config, True, program=program)), errors="surrogateescape")
    runtime = open_folder / "runtime"
    runtime.mkdir()
    runtime.chmod(0o777)
    away = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]  # it tests not as root
    done = subprocess.run(
        [*(away if os.geteuid() == 0 else []), SYSTEMD, "--user", "--test", f"--unit={path.name}"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(open_folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "SYSTEMD_UNIT_PATH": f"{open_folder}:",
            "SYSTEMD_LOG_TARGET": "console",
        },
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    line = next(line for line in lines if sys.executable in line)
    words = [*program, "watch", "--config", str(config)]
    assert _read_words(line.partition("Command Line: ")[2]) == list(map(os.fsencode, words))


def _read_words(shown: str) -> list[bytes]:
    """Split a command line as systemd prints it: bare words, and quoted ones as in C."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', shown)
    unescaped = (quoted.replace("\\$", "$").replace("\\`", "`") for quoted, _ in words)
    return [
        bare.encode() or _bytes(quoted) for (_, bare), quoted in zip(words, unescaped, strict=True)
    ]


def _bytes(quoted: str) -> bytes:
    ascii_only = "".join(f"\\x{b:02x}" if b > 126 else chr(b) for b in quoted.encode())
    read = ast.literal_eval(f'b"{ascii_only}"')
    assert isinstance(read, bytes)
    return read


@given(st.text(), st.text())
def test_no_word_adds_a_line(one: str, other: str) -> None:
    plain = unit_text(UnitConfig(CONFIG, False, program=("/usr/bin/python3",)))
    odd = unit_text(UnitConfig(CONFIG / one, False, program=("/usr/bin/python3", other)))
    keys = [line.partition("=")[0] for line in plain.split("\n")[1:]]
    assert [line.partition("=")[0] for line in odd.split("\n")[1:]] == keys


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"config": Path("config.yaml")}, "config.yaml: a unit needs an absolute path"),
        ({"program": ("python3",)}, "python3: a unit needs an absolute path"),
        ({"run_as": "listen\nUser=root"}, r"--run-as listen\\nUser=root: expected an account"),
        ({"credentials": {"a=b:c": CONFIG}}, "--credential a=b:c: expected a name"),
        ({"credentials": {"a": Path("/x\nUser=root")}}, "a unit cannot hold this path"),
        ({"credentials": {"a": Path("/x\\")}}, "a unit cannot hold this path"),
        ({"credentials": {"a": Path("x")}}, "x: a unit needs an absolute path"),
        ({"is_user": True, "is_local_only": True}, "--local-only are for --system"),
    ],
)
def test_what_no_unit_can_hold_is_refused(parts: dict[str, object], message: str) -> None:
    with pytest.raises(ListenEdgeError, match=message):
        UnitConfig(**{"config": CONFIG, "is_user": False, **parts})  # type: ignore[arg-type]


def test_what_the_service_could_not_read_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.touch(mode=0o600)
    with pytest.raises(ListenEdgeError, match="has a /tmp of its own"):
        check_reach(UnitConfig(Path("/tmp/config.yaml"), False))
    monkeypatch.setattr(unit_module, "_TEMPORARY", ())
    with pytest.raises(ListenEdgeError, match=r"config\.yaml: the service's own account may not"):
        check_reach(UnitConfig(config, False))
    check_reach(UnitConfig(config, False, run_as=pwd.getpwuid(os.getuid()).pw_name))
    check_reach(UnitConfig(config, True))


@pytest.mark.parametrize("what", ["config", "its folder", "program", "where a link leads"])
def test_what_others_could_change_is_not_run(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_module, "_TEMPORARY", ())
    me = pwd.getpwuid(os.getuid()).pw_name
    program, config = tmp_path / "program", tmp_path / "of it" / "config.yaml"
    config.parent.mkdir()
    real = config.with_name("real.yaml")
    real.touch(0o644)
    config.symlink_to(real)
    program.touch(0o755)
    unit = UnitConfig(config, False, program=(str(program),), run_as=me)
    check_reach(unit)
    changed = {"its folder": config.parent, "program": program}.get(what, real)
    changed.chmod(changed.stat().st_mode | 0o002)
    with pytest.raises(ListenEdgeError, match="others could change what the service runs"):
        check_reach(unit)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of another account")
def test_who_owns_the_configuration_gains_no_account_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_module, "_TEMPORARY", ())
    monkeypatch.setattr(unit_module, "_closed", lambda path: None)
    config = tmp_path / "config.yaml"
    config.touch(0o644)
    os.chown(config, 12_345, -1)
    check_reach(UnitConfig(config, False))  # an account made for it, without a secret
    for parts in ({"run_as": "root"}, {"credentials": {"mqtt": Path("/etc/secret")}}):
        with pytest.raises(ListenEdgeError, match=r"config\.yaml: others could change"):
            check_reach(UnitConfig(config, False, **parts))  # type: ignore[arg-type]


@pytest.fixture()
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's unit goes, and a configuration in the working directory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my config.yaml").write_text("sources: []\n")
    return tmp_path / "systemd/user/listen-edge.service"


def _run(*words: str) -> str:
    done = CliRunner().invoke(cli, ["service", *words, "--user"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_install_status_and_uninstall(unit: Path) -> None:
    told = _run("install", "--config", "my config.yaml")
    assert f"wrote {unit}\n" in told and "systemctl --user enable --now listen-edge" in told
    assert f'--config "{unit.parents[2]}/my config.yaml"\n' in unit.read_text()
    assert unit.stat().st_mode & 0o777 == 0o644
    assert f"{unit}, as written\n" in _run("status")
    assert unit.read_text() == _run("install", "--config", "my config.yaml", "--print")
    assert f"removed {unit}\n" in _run("uninstall")
    with pytest.raises(ListenEdgeError, match="there is no such unit"):
        _run("status")


def test_a_changed_unit_is_kept(unit: Path) -> None:
    _run("install", "--config", "my config.yaml")
    changed = unit.read_text().replace("RestartSec=2", "RestartSec=9")
    unit.write_text(changed)
    for words in (["install", "--config", "my config.yaml"], ["uninstall"]):
        with pytest.raises(ListenEdgeError, match="changed since, and is not"):
            _run(*words)
    assert unit.read_text() == changed
    _run("install", "--config", "my config.yaml", "--force")
    assert unit_state(unit) == "as written"


def test_a_missing_configuration_is_no_service(unit: Path) -> None:
    with pytest.raises(ListenEdgeError, match="listen-edge config init"):
        _run("install", "--config", "other.yaml")
    assert not unit.exists()
