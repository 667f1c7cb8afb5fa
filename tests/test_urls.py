"""Nothing of a password is shown, whatever it is made of and wherever it stands."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from listen_edge.cli.root import cli
from listen_edge.urls import without_secrets, without_secrets_of

KEYS = ["password", "pwd", "token", "access_token", "api_key", "X-Amz-Signature", "sig", "auth",
        "user", "loginpas", "p", "%70assword", "client_secret"]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera/1", "rtsp://camera/1"),
        ("rtsp://camera:554/cam/realmonitor?channel=1&subtype=0",) * 2,
        ("http://[fe80::1]:8080/a.mp3#t=3",) * 2,
        ("front door.wav",) * 2,
        ("rtsp://me:secret@camera/1", "rtsp://camera/1"),
        ("rtsp://me@camera/1", "rtsp://camera/1"),
        ("rtsp://me:se@cret@127.0.0.1:9/x", "rtsp://127.0.0.1:9/x"),
        ("rtsp://me:se/cret@127.0.0.1:9/x", "rtsp://127.0.0.1:9/x"),
        ("rtsp://me:sec ret@127.0.0.1:9/x", "rtsp://127.0.0.1:9/x"),
        ("rtsp://me:sec?ret@127.0.0.1:9/x", "rtsp://…"),
        ("rtsp://host/x?user=me&password=secret", "rtsp://host/x?…"),
        ("http://h/a?token=secret", "http://h/a?…"),
        ("http://h/a?channel=2&token=se&cret", "http://h/a?channel=2&…"),
        ("http://h/a?password=p@ss", "http://…"),
        ("rtsp://10.0.0.2:554/user=admin&password=x&channel=1&stream=0.sdp?", "rtsp://10.0.0.2:554/…"),
        ("rtsp://10.0.0.2:554/user=admin_password=x_channel=1_stream=0.sdp", "rtsp://10.0.0.2:554/…"),
        ("concat:http://me:pw@a/1|http://me:pw@b/2", "concat:http://b/2"),
        ("rtsp:/me:pw@camera/1", "rtsp:/camera/1"),
        ("me:pw@camera/1", "camera/1"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@given(st.text(), st.text())
@example("me", "se@cret")
@example("me", "a/b?c=d#e@f g")
@example("me", "token=@")
@example("://", "://@://")
def test_nothing_remains_of_user_and_password(user: str, password: str) -> None:
    shown = without_secrets(f"rtsp://{user}:{password}@camera.local:554/live")
    assert shown in {"rtsp://camera.local:554/live", "rtsp://…"}
    assert without_secrets(shown) == shown


@given(st.sampled_from(KEYS), st.text())
@example("password", "se&cret/x?y#z@w")
def test_nothing_remains_of_a_secret_in_a_query(key: str, secret: str) -> None:
    shown = without_secrets(f"http://camera.local/a?channel=1&{key}={secret}")
    assert shown in {"http://camera.local/a?channel=1&…", "http://…"}


@given(st.text(), st.data())
def test_nothing_remains_in_another_programs_words(password: str, data: st.DataObject) -> None:
    url = f"rtsp://me:{password}@camera/live"
    words = re.findall(r"\w{3,}", password)
    word = data.draw(st.sampled_from([*words, "port"]))
    said = without_secrets_of(url, f"[in#0] {url}: 401; no host {word}; http://x:{word}@y/")
    assert not [w for w in words if w in said and w not in "[in#0] rtsp camera live 401; no host"]
    assert "me:" not in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("rtsp://me:se@cret@127.0.0.1:{port}/x\n", "rtsp://127.0.0.1:{port}/x: "),
        ("", "expected one line, the URL"),
        ("rtsp://a\nrtsp://b\n", "expected one line, the URL"),
        (None, r"cannot be read \(.*No such file or directory"),
    ],
    ids=["url", "empty", "two-lines", "no-file"],
)
def test_a_url_is_read_from_a_file(tmp_path: Path, content: str | None, says: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    if content is not None:
        (tmp_path / "url").write_text(content.format(port=port))
    arguments = ["mic", "--url", f"@{tmp_path}/url", "--ask", "siren?", "--format", "jsonl"]
    result = CliRunner().invoke(cli, arguments)
    said = f"{result.exception} {result.output}".replace("\n", " ").replace("│", "")
    assert result.exit_code != 0 and re.search(says.format(port=port), said)
    assert "cret" not in said and "me:" not in said


def test_logs_of_other_packages_show_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    level = logging.root.level
    with contextlib.suppress(SystemExit):
        cli(["-v", "mic", "--url", "x", "--stdin", "--ask", "siren?"])
    try:
        logging.getLogger("httpx").info("HTTP Request: GET %s", "https://me:pw@h/a?n=1&sig=secret")
    finally:
        logging.root.handlers.clear()
        logging.root.setLevel(level)
    assert "HTTP Request: GET https://h/a?n=1&…\n" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["a", "a+", "a:", "a:/", "://", "@", "a=", "é", "token"])
def test_a_long_name_takes_no_long_time(part: str) -> None:
    """A hundred thousand characters, which a quadratic search reads for minutes."""
    name = part * 100_000
    assert without_secrets(without_secrets(name)) == without_secrets(name)
    assert "secret" not in without_secrets(f"{name}://me:secret@camera/1")
    assert without_secrets_of("rtsp://camera/1", name)


def test_the_words_themselves_remain() -> None:
    url = "rtsp://me:se@cret@127.0.0.1:9/x"
    assert (
        without_secrets_of(url, f"Error opening input file {url}. Connection refused, says me")
        == "Error opening input file rtsp://127.0.0.1:9/x. Connection refused, says …"
    )
    assert (
        without_secrets_of("rtsp://cam/1", "rtsp://cam/1: timed out") == "rtsp://cam/1: timed out"
    )
