"""Where a configuration's values come from: files of secrets, the environment; what is shown."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from listen_edge.runtime.service.config.fields import shown_url
from listen_edge.runtime.service.config.problems import ConfigError
from listen_edge.runtime.service.config.reading import read_config
from listen_edge.runtime.service.config.showing import shown, without_secret_words
from tests.config_files import SOURCES, WHOLE, problems_in, read, write_config


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtsp://camera:554/live?user=me", "rtsp://camera:554/…"),
        ("https://me:hunter2@host/x", "https://host/…"),
        ("https://[::1]:80/x", "https://[::1]:80/…"),
        ("https://host", "https://host/…"),
        ("https://hunter2 hunter2/", "***"),
        ("rtsp://u:hunter2/@x@host", "rtsp://host/…"),
        ("rtsp://me?p=hunter2@host", "rtsp:///…"),
        ("hunter2", "***"),
        ("host/hunter2", "***"),
    ],
)
def test_of_a_url_scheme_and_host_are_shown(url: str, said: str) -> None:
    assert shown_url(url) == said


SECRETS = {  # where one may be said
    "sources: [{{id: a, url: {0}}}]": False,
    "sources: [{{id: a, url: {0}, hop: 1}}]": True,
    "sources: [{{id: a, url: [{0}]}}]": True,
    "sources: [{{id: a, device: b}}]\nweb: {{token: {0}, listen: x}}": True,
    "sources: [{{id: a, device: b}}]\nweb: {{token: {0}}}\nweb: {{token: {0}}}": True,
    "sources: [{{id: a, device: b}}]\nweb: {{token: {0}, token: {0}}}": True,
    "sources: [{{id: a, device: b}}]\nweb: {{token: {0}}}\noutputs: 1": True,
    "outputs: {{mqtt: {{password: {0}}}}}": True,
    "outputs: {{webhooks: [{{id: a, url: {0}, secret: {0}}}]}}": True,
}


@settings(max_examples=60, deadline=None)
@given(
    text=st.sampled_from(list(SECRETS)),
    secret=st.text(st.sampled_from("Zq7#:!*&@/?=%' "), min_size=16, max_size=30),
    quotes=st.sampled_from(['"{}"', "'{}'", "{}"]),
)
def test_no_secret_is_in_an_error_a_repr_or_what_is_shown(
    text: str, secret: str, quotes: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = f"hunter2{secret}hunter2"
    quoted = quotes.format(secret.replace("'", "''") if quotes[0] == "'" else secret)
    path = tmp_path_factory.getbasetemp() / "secret.yaml"
    path.write_text(text.format(quoted))
    try:
        reading = read_config(path, {})
    except ConfigError as err:
        told = f"{err} {err.problems} {err!r}"
    else:
        told = f"{reading!r} {reading.config.model_dump()} {reading.config.model_dump_json()}"
        told += "\n".join(shown(reading, None))
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--token", "hunter2", "on"], "--token *** on"),
        (["--api-key", "hunter2"], "--api-key ***"),
        (["-u", "me:hunter2", "-P", "hunter2"], "-u *** -P ***"),
        (["--auth", "--token", "hunter2"], "--auth *** ***"),
        (["-phunter2", "--password=hunter2"], "-p*** --password=***"),
        (["TOKEN=hunter2", "MODE=on"], "TOKEN=*** MODE=on"),
        (["-H", "Authorization: Bearer hunter2"], "-H Authorization: ***"),
        (["--header=X-Api-Key: hunter2"], "--header=X-Api-Key: ***"),
        (["-d", '{"level": 3, "token": "hunter2"}'], '-d {"level": 3, "token": "***'),
        (["-c", "curl -s --token hunter2 x"], "-c curl -s --token ***"),
        (["-c", "PASSWORD='hunter2' run"], "-c PASSWORD='***"),
        (["https://me:hunter2@host/x", "to=http://h/hunter2?a=1"], "https://host/… to=http://h/…"),
        (["on", "--level=3", "at 10:30", "a=b", "-v", "--"], "on --level=3 at 10:30 a=b -v --"),
        (["--token=", "--token"], "--token=*** --token"),
    ],
)  # fmt: skip
def test_of_a_commands_words_those_are_hidden_that_follow_a_secrets_name(
    words: list[str], told: str, tmp_path: Path
) -> None:
    assert " ".join(without_secret_words(words)) == told
    run = json.dumps(["/usr/bin/lamp", *words])
    reading = read(tmp_path, f"{SOURCES}outputs: {{commands: [{{id: lamp, run: {run}}}]}}\n")
    (line,) = [line for line in shown(reading, None) if line.startswith("      run: ")]
    assert line.startswith("      run: [/usr/bin/lamp, ") and "hunter2" not in line


def test_long_words_of_a_command_are_shown_in_bounded_time() -> None:
    begun = time.process_time()
    for unit in ("a", "a ", "-", "--a ", "a=", "pw", '"a', "http://", " "):
        list(without_secret_words([unit * (100_000 // len(unit))]))
    assert time.process_time() - begun < 3


class TestSecrets:
    def test_a_secret_is_read_from_a_file_beside_the_configuration(self, tmp_path: Path) -> None:
        secret = tmp_path / "token"
        secret.write_text("hunter2hunter2hunter2\n")
        secret.chmod(0o600)
        reading = read(tmp_path, SOURCES + "web: {token_file: token}")
        assert reading.config.web is not None
        assert reading.config.web.token == SecretStr("hunter2hunter2hunter2")
        assert reading.origins["web", "token"] == f"file {secret}"
        assert reading.warnings == ()

    @pytest.mark.parametrize(
        ("mode", "is_warned"), [(0o600, False), (0o440, False), (0o644, True), (0o620, True)]
    )
    def test_a_secret_that_others_can_read_is_warned_of(
        self, mode: int, is_warned: bool, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("hunter2hunter2hunter2")
        (tmp_path / "token").chmod(mode)
        (*warnings,) = read(tmp_path, SOURCES + "web: {token_file: token}").warnings
        said = f"{tmp_path}/listen.yaml:2:7: web.token_file: mode {mode:04o}: others can"
        assert [line for line in warnings if line.startswith(said)] == warnings
        assert bool(warnings) == is_warned

    @pytest.mark.parametrize(
        ("keys", "named"),
        [
            ("web: {token: hunter2hunter2hunter2}", "web.token"),
            (
                "outputs: {mqtt: {host: a, username: b, password: hunter22}}",
                "outputs.mqtt.password",
            ),
            (
                "outputs: {webhooks: [{id: a, url: https://a.de/x, secret: hunter22}]}",
                "outputs.webhooks[0].url, outputs.webhooks[0].secret",
            ),
            ("outputs: {webhooks: [{id: a, url: https://a.de/}]}", None),
            ("web: {}", None),
        ],
    )
    def test_a_secret_in_a_configuration_that_others_can_read_is_warned_of_once(
        self, keys: str, named: str | None, tmp_path: Path
    ) -> None:
        for mode in (0o644, 0o640, 0o660, 0o600):
            write_config(tmp_path, f"{SOURCES}{keys}\n").chmod(mode)
            reading = read_config(tmp_path / "listen.yaml", {})
            if named is None or mode in (0o640, 0o600):
                assert reading.warnings == ()
                continue
            (warning,) = reading.warnings
            assert warning.startswith(f"{tmp_path}/listen.yaml:2:")
            assert f": {named}: mode {mode:04o}: others can read or change it; put" in warning
            assert "hunter2" not in warning and warning.endswith(", or chmod 600")

    def test_a_camera_is_no_secret_but_its_password_is(self, tmp_path: Path) -> None:
        urls = ("rtsp://me:hunter2@host/live", "rtsp://host/live", "http://host/x?token=hunter2")
        sources = ", ".join(f'{{id: s{k}, url: "{url}"}}' for k, url in enumerate(urls))
        write_config(tmp_path, f"sources: [{sources}]\n").chmod(0o644)
        (warning,) = read_config(tmp_path / "listen.yaml", {}).warnings
        assert ": sources[0].url, sources[2].url: mode" in warning and "(url_file)" in warning
        assert not read(tmp_path, SOURCES, LISTEN_EDGE_WEB__TOKEN="hunter2" * 3).warnings

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"a\nb\n", "on one line"),
            (b"a\x00b", "control"),
            (b"\xff\xfe", "is not UTF-8"),
            (b"x" * 20_000, "is larger than 16 KiB"),
            (b"short", "expected 16 characters or more"),
        ],
    )
    def test_a_file_that_holds_no_secret_is_told(
        self, content: bytes, said: str, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_bytes(content)
        (problem,) = problems_in(tmp_path, SOURCES + "web: {token_file: token}")
        assert said in problem


class TestEnvironment:
    def test_a_variable_overrides_a_key_at_any_depth(self, tmp_path: Path) -> None:
        reading = read(
            tmp_path,
            WHOLE,
            LISTEN_EDGE_HOP="1.5",
            LISTEN_EDGE_OUTPUTS__MQTT__HOST="broker",
            LISTEN_EDGE_SOURCES__0__DEVICE="3",
            LISTEN_EDGE_SOURCES__3__NAME="Attic",
            LISTEN_EDGE_SOURCES__3__DEVICE="default",
            LISTEN_EDGE_PRESETS__1="home",
            LISTEN_EDGE_THREADS="",
            LISTEN_EDGE_API_KEY="for a chat server",
        )
        config = reading.config
        assert (config.hop, config.threads, config.presets) == (1.5, 2, ("pets", "home"))
        assert config.outputs.mqtt is not None and config.outputs.mqtt.host == "broker"
        devices = [source.device for source in config.sources]
        assert devices == ["3", None, None, "default"]
        assert (config.sources[3].id, config.sources[3].microphone) == ("attic", None)
        assert reading.origins["outputs", "mqtt", "host"] == "LISTEN_EDGE_OUTPUTS__MQTT__HOST"
        assert reading.warnings == ()

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("HOOP", 'hoop: unknown key; did you mean "hop"?'),
            ("OUTPUT__MQTT__HOST", 'unknown key; did you mean "outputs"?'),
            ("OUTPUTS__MQTT__HOTS", 'unknown key; did you mean "host"?'),
            ("SOURCES__2__DEVICE", "2: expected a place in the list, 0 to 1"),
            ("SOURCES__X__DEVICE", "x: expected a place in the list, 0 to 1"),
            ("HOP__X", "there is a single value in the file at hop"),
            ("WEB____LISTEN", "expected a key on either side of two underscores"),
            ("THREADS", "threads: expected a whole number"),
            ("WEB__TOKEN", "web.token: expected 16 characters or more"),
        ],
    )
    def test_a_variable_that_cannot_be_is_told_without_its_value(
        self, name: str, said: str, tmp_path: Path
    ) -> None:
        environ = {f"LISTEN_EDGE_{name}": "zzhunter"}
        problems = problems_in(tmp_path, SOURCES + "hop: 2\n", environ)
        told = [line for line in problems if line.startswith(f"LISTEN_EDGE_{name}: ")]
        assert any(said in line for line in told)
        assert name == "THREADS" or "zzhunter" not in str(problems)

    def test_what_others_put_there_is_only_warned_of(self, tmp_path: Path) -> None:
        (warning,) = read(tmp_path, SOURCES, LISTEN_EDGE_PORT="tcp://10.0.0.1:80").warnings
        assert warning == "LISTEN_EDGE_PORT: is no key of the configuration, and not read"

    @pytest.mark.parametrize("outer", ["token", "token_file"])
    def test_the_environment_s_secret_is_before_the_file_s(
        self, outer: str, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("from the file, as it says")
        (tmp_path / "token").chmod(0o600)
        inner = {"token": "token_file: token", "token_file": 'token: "from the text, as it says"'}
        environ = {"token": "from the environment", "token_file": "token"}
        text = SOURCES + f"web: {{{inner[outer]}}}"
        web = read(
            tmp_path, text, **{f"LISTEN_EDGE_WEB__{outer.upper()}": environ[outer]}
        ).config.web
        expected = {"token": "from the environment", "token_file": "from the file, as it says"}
        assert web is not None and web.token == SecretStr(expected[outer])


def test_a_configuration_is_found_where_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.raises(ConfigError, match=r"there is none of listen-edge\.yaml, .*config init"):
        read_config(None, environ)
    (tmp_path / "xdg/listen-edge").mkdir(parents=True)
    (tmp_path / "xdg/listen-edge/config.yaml").write_text(SOURCES)
    assert read_config(None, environ).path == tmp_path / "xdg/listen-edge/config.yaml"
    (tmp_path / "listen-edge.yaml").write_text(SOURCES + "events: {path: here.db}")
    found = read_config(None, environ)
    assert found.path == Path("listen-edge.yaml")
    assert found.config.events.path == tmp_path / "here.db"


def test_another_user_s_configuration_is_read_only_if_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "listen-edge.yaml"
    path.write_text(SOURCES)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigError, match=r"^listen-edge\.yaml: belongs to another user"):
        read_config(None, {})
    assert read_config(path, {}).path == path


def test_what_is_shown_is_the_same_configuration(tmp_path: Path) -> None:
    reading = read(tmp_path, WHOLE, LISTEN_EDGE_SOURCES__0__NAME='a "b": \\ # é')
    again = "\n".join(shown(reading, None)).replace('"***"', '"*******************"')
    again = again.replace("/…", "/x")
    back = read(tmp_path, again).config
    hidden = {"sources": {1: {"url"}}, "web": {"token"}, "outputs": True}
    assert back.model_dump(exclude=hidden) == reading.config.model_dump(exclude=hidden)


def test_origins_are_shown(tmp_path: Path) -> None:
    reading = read(tmp_path, WHOLE, LISTEN_EDGE_HOP="3")
    lines = [line.replace(f"{tmp_path}/", "").strip() for line in shown(reading, None)]
    assert lines[0] == "bundle: tiny  # listen.yaml:1:1"
    for line in (
        "backend: auto  # default",
        "hop: 3  # LISTEN_EDGE_HOP",
        "confirm: 2/3  # listen.yaml:5:32",
        "- id: garage-left  # made of name",
        "name: phone  # made of id",
        'url: "rtsp://camera/…"  # listen.yaml:12:28',
        "- id: dog-barking  # made of ask",
        'password: "***"  # listen.yaml:21:43',
        '#   kitchen  smoke-alarm  "smoke alarm?"  on 0.95  off 0.6  safety  (preset safety)',
        '#   kitchen  kettle-whistling  "kettle whistling?"  on 0.9  off 0.6  normal  '
        "(listen.yaml:11:17)",
    ):
        assert line in lines
