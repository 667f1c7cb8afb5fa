"""listen.yaml: what is read, and what is said of what cannot be."""

from __future__ import annotations

import logging
import os
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listen_edge.runtime.service.config.models import WatchConfig
from listen_edge.runtime.service.config.problems import ConfigError
from listen_edge.runtime.service.config.reading import read_config
from tests.config_files import SOURCES, WHOLE, problems_in, read, write_config

LAUGHS = "\n".join(
    [
        SOURCES + "a: &a [x, x]",
        *(f"{n}: &{n} [{f'*{m}, ' * 9}]" for m, n in pairwise("abcdefgh")),
    ]
)
PROBLEMS = {  # name: (text, line and column, what is said)
    "misspelt": (SOURCES + "thread: 2", "2:1", 'thread: unknown key; did you mean "threads"?'),
    "with a hyphen": (
        "sources:\n- id: a\n  device: b\n  defaults:\n    end-after: 3\n",
        "5:5",
        'sources[0].defaults.end-after: unknown key; did you mean "end_after"?',
    ),
    "elsewhere": (SOURCES + "confirm: 2/3", "2:1", 'did you mean "defaults.confirm"?'),
    "foreign": (SOURCES + "web: {zzz: 1}", "2:7", "web.zzz: unknown key; expected one of listen,"),
    "missing": (SOURCES + "outputs:\n  mqtt: {port: 1}", "3:3", "outputs.mqtt.host: is missing"),
    "no sources": ("hop: 1\n", "1:1", "sources: is missing"),
    "no number": (SOURCES + "hop: fast", "2:1", 'hop: expected a number; found "fast"'),
    "not finite": (SOURCES + "hop: .nan", "2:1", 'hop: expected a number; found ".nan"'),
    "infinite": (SOURCES + "hop: 1e999", "2:1", "hop: expected"),
    "not whole": (SOURCES + "threads: 2.5", "2:1", "threads: expected a whole number"),
    "no truth": (
        SOURCES + "outputs: {desktop: maybe}",
        "2:11",
        'expected true or false; found "maybe"',
    ),
    "other word": (SOURCES + "llm: nevr", "2:1", "llm: expected 'auto', 'always' or 'never'"),
    "too high": (SOURCES + "defaults: {on: 1.5}", "2:12", "expected less than 1.0; found"),
    "a map": ("sources: {a: {device: x}}", "1:1", "expected a list; found keys with values"),
    "a list": (SOURCES + "web: [1]", "2:1", "web: expected keys with values; found a list"),
    "a value": (SOURCES + "presets: safety", "2:1", 'presets: expected a list; found "safety"'),
    "nothing": (SOURCES + "web:\n", "2:1", "web: has no value; give one, or leave the key out"),
    "null": (SOURCES + "presets: null", "2:1", "presets: expected a list; found null"),
    "twice": (SOURCES + "hop: 1\nhop: 2", "3:1", "hop: stands here twice, see "),
    "off above on": (SOURCES + "defaults: {on: 0.5, off: 0.6}", "2:21", "off: 0.6 is above on"),
    "confirm": (SOURCES + "defaults: {confirm: 3/2}", "2:12", "expected 1 <= K <= N <= 60"),
    "confirm in words": (SOURCES + "defaults: {confirm: two}", "2:12", "expected K/N, such as 2/3"),
    "long": (
        SOURCES + "defaults: {end_after: 9, long_event: 8}",
        "2:26",
        "long_event: expected more than end_after",
    ),
    "two kinds": ("sources: [{id: a, device: x, file: y}]", "1:30", "found device and file"),
    "no stream": ("sources: [{id: a, url: hunter2}]", "1:19", "url: expected a URL, such as rtsp"),
    "no kind": ("sources: [{id: a}]", "1:11", "expected one of device, url, file, satellite"),
    "no id": ("sources: [{device: a}]", "1:11", "has no id; give an id, or a name"),
    "no id in a name": ("sources: [{name: 居間, device: a}]", "1:11", "has no id"),
    "id": ("sources: [{id: A/b, device: a}]", "1:12", "expected an id: 1 to 64 of a-z, 0-9"),
    "ids": (
        "sources:\n- {id: a, device: x}\n- {id: a, device: y}",
        "3:4",
        'sources[1].id: "a" is the id of another',
    ),
    "made ids": (
        "sources:\n- {name: Hall 1, device: x}\n- {name: hall-1, device: y}",
        "3:3",
        'sources[1].id: "hall-1" is the id of another',
    ),
    "control": ('sources: [{id: a, name: "b\\x1b", device: x}]', "1:19", "without control"),
    "bidi": ('sources: [{id: a, name: "b\\u202e", device: x}]', "1:19", "without control"),
    "no sound": (SOURCES + 'questions: ["???"]', "2:13", "questions[0].ask: "),
    "no source": (
        SOURCES + "questions:\n- {ask: siren, sources: [a, b]}",
        "3:29",
        'questions[0].sources[1]: there is no source "b"; there are a',
    ),
    "quiet": (
        SOURCES + "questions: [{ask: a dog, quiet: [night]}]",
        "2:34",
        'such as "22:00-06:00"',
    ),
    "sources of a source's": (
        "sources: [{id: a, device: b, questions: [{ask: dog, sources: [a]}]}]",
        "1:53",
        'sources: unknown key here; did you mean "questions[].sources[]"?',
    ),
    "zone": (SOURCES + "timezone: Mars", "2:1", "timezone: expected a time zone such as"),
    "private": (
        SOURCES + "outputs: {webhooks: [{id: a, url: 'http://[::ffff:10.0.0.1]/'}]}",
        "2:30",
        "is an address of the local network; set allow_private: true",
    ),
    "no url": (SOURCES + "outputs: {webhooks: [{id: a, url: ftp://x}]}", "2:30", "https://HOST"),
    "no port": (SOURCES + "web: {listen: localhost}", "2:7", "expected HOST:PORT"),
    "open": (SOURCES + "web: {listen: 192.0.2.1:80}", "2:7", "is not loopback: others can reach"),
    "open wake": (SOURCES + "wake: {listen: 192.0.2.1:80}", "2:8", "is not loopback: there is no"),
    "no program": (SOURCES + "outputs: {commands: [{id: a, run: [ls]}]}", "2:36", "whole path"),
    "no user": (SOURCES + "outputs: {mqtt: {host: h, password: x}}", "2:27", "no username"),
    "no tls": (SOURCES + "outputs: {mqtt: {host: h, ca: x}}", "2:27", "of no use without tls"),
    "one key": (SOURCES + "outputs: {mqtt: {host: h, tls: yes, key: x}}", "2:37", "together"),
    "secret's file": (SOURCES + "web: {token_file: none}", "2:7", "no such file"),
    "secret's folder": (SOURCES + "web: {token_file: /}", "2:7", "is not a file"),
    "secret's pipe": (SOURCES + "web: {token_file: pipe}", "2:7", "is not a file"),
    "secret twice": (
        SOURCES + "web: {token: 0123456789abcdef, token_file: y}",
        "2:32",
        "token or token_file, not",
    ),
    "hop": (SOURCES + "hop: 6", "2:1", "hop: 6 is longer than the bundle's window, 5 s"),
    "hop and end": (
        SOURCES + "hop: 4\ndefaults: {end_after: 3}",
        "3:1",
        "defaults: end_after 3 is shorter than hop 4",
    ),
    "no bundle": (SOURCES + "bundle: ./none", "2:1", "bundle: "),
    "tab": (SOURCES + "\thop: 2", "2:1", "a tab; expected spaces"),
    "question mark": (SOURCES + "questions: [siren?]", "2:18", "a ? within [ ] or { }; quote"),
    "open bracket": (SOURCES + "presets: [safety", "2:17", "not YAML: "),
    "two documents": (SOURCES + "---\nhop: 1", "2:1", "a second document; expected one"),
    "tag": (SOURCES + "web: {token: !secret hunter2}", "2:14", "tags are not read"),
    "python": ("sources: !!python/object/apply:os.system [ls]", "1:10", "tags are not read"),
    "no anchor": (SOURCES + "web: {token: *hunter2}", "2:14", "no such anchor above"),
    "within itself": ("sources: &a [*a]", "1:14", "an anchor is within itself"),
    "laughs": (LAUGHS, "6:16", "more than 10000 values, with what its anchors repeat"),
    "deep": ("[" * 60_000, "1:18", "nested more than 16 levels"),
    "deep keys": ("a: " + "{a: " * 30_000, "1:68", "nested more than 16 levels"),
    "deep anchors": (
        "\n".join(["a: &a [x]", *(f"{k}: &k{k + 1} [*k{k}]" for k in range(20))]).replace(
            "k0", "a"
        ),
        "16:11",
        "nested more than 16 levels",
    ),
    "many": ("sources: [" + "a," * 20_000, "1:20007", "more than 10000 values"),
    "a key of keys": ("? [a]\n: b", "1:3", "expected a key in plain words"),
    "control character": ("sources:\n- \x07", "2:1", "holds the control character U+0007"),
    "empty": ("", "1:1", "is empty; expected keys such as sources: [...]"),
    "words": ("hello", "1:1", "is no map; expected keys"),
}


def test_all_that_can_be_said_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE).config
    kitchen, garage, phone = config.sources
    assert (kitchen.kind, kitchen.microphone, garage.kind) == ("device", "USB Audio", "url")
    assert (garage.id, garage.name) == ("garage-left", "Garage, left")
    assert (phone.id, phone.name, phone.kind) == ("phone", "phone", "satellite")
    assert [question.id for question in config.questions] == ["siren", "dog-barking"]
    assert list(map(str, config.questions[0].quiet)) == ["22:00-06:00", "sat 10:00-12:00"]
    assert (config.defaults.confirm, config.defaults.on) == ((2, 3), 0.95)
    assert config.events.path == tmp_path / "events.db"
    assert str(config.outputs.lines and config.outputs.lines.path) == "-"
    mqtt = config.outputs.mqtt
    assert mqtt is not None and mqtt.password is not None
    assert (mqtt.username, mqtt.discovery, mqtt.port_number) == ("0123", False, 1883)
    assert mqtt.password.get_secret_value() == "hunter22"
    assert config.outputs.commands[0].run == ("/usr/local/bin/lamp", "on")
    assert config.web is not None
    assert (config.web.host, config.web.port, config.web.is_loopback) == ("0.0.0.0", 8765, False)


@pytest.mark.parametrize(("text", "place", "said"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_names_line_key_and_what_was_expected(
    text: str, place: str, said: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    began = time.perf_counter()
    problems = problems_in(tmp_path, text)
    assert [line for line in problems if line.startswith(f"listen.yaml:{place}: ") and said in line]
    assert len(problems) == 1
    assert "hunter2" not in problems[0]
    assert time.perf_counter() - began < 5


def test_all_problems_are_told_in_their_order(tmp_path: Path) -> None:
    text = "hop: x\nsources:\n- {id: a, device: b, file: c}\nweb: {tokn: y, token_file: z}\nllm: q"
    lines = [line.split(": ")[0] for line in problems_in(tmp_path, text)]
    assert lines == [f"listen.yaml:{place}" for place in ("1:1", "3:22", "4:7", "4:16", "5:1")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SOURCES.encode() + b"# \xff", "is not UTF-8, in line 2; save it as UTF-8"),
        (SOURCES.encode("utf-16"), "is not UTF-8, in line 1; save it as UTF-8"),
        (b"#" * 200_000, "is larger than 128 KiB; is it the right file?"),
        (b"a: \x00", "holds the control character U+0000"),
    ],
)
def test_a_file_that_is_no_text_is_told_in_one_line(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (problem,) = problems_in(tmp_path, content)
    assert said in problem


@pytest.mark.parametrize(
    ("path", "said"),
    [("/dev/zero", "is not a file"), ("none.yaml", "no such file"), (".", "is not a file")],
)
def test_a_path_that_is_no_file_is_told(path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{path}: .*{said}"):
        read_config(Path(path), {})


def test_anchors_that_explode_cost_nothing(tmp_path: Path) -> None:
    path = write_config(tmp_path, LAUGHS)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError):
            read_config(path, {})
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_an_anchor_may_be_repeated(tmp_path: Path) -> None:
    text = (
        "sources:\n- {id: a, device: x, questions: &q [siren]}\n"
        "- {id: b, device: y, questions: *q}\n"
    )
    variable = "LISTEN_EDGE_SOURCES__1__QUESTIONS__0"
    config = read(tmp_path, text, **{variable: "dog?"}).config
    assert [source.questions[0].ask for source in config.sources] == ["siren", "dog?"]


def test_what_the_bundle_sets_may_be_lower_than_what_is_set(tmp_path: Path) -> None:
    read(tmp_path, SOURCES + "presets: [safety]\ndefaults: {on: 0.1}\n")


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from(list("[]{},:-&*!|>%?#'\"\\ \n\tab0é~<")), max_size=60),
        st.tuples(st.integers(0, len(WHOLE)), st.text(max_size=3), st.integers(0, 40)).map(
            lambda cut: WHOLE[: cut[0]] + cut[1] + WHOLE[cut[0] + cut[2] :]
        ),
    )
)
@example(text="{? : ")
@example(text='"\\ud800": 1')
@example(text='sources: [{id: a, device: "\\ud800"}]')
@example(text='sources: [{id: a, file: "\\0"}]')
@example(text='sources: [{id: a, device: b}]\nweb: {token_file: "\\0"}')
@example(text='sources: [{id: a, file: "~nobody-here/x"}]')
@example(text="hop: " + "9" * 5000)
def test_any_text_is_read_or_refused_in_lines(
    text: str | bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        read_config(path, {})
    except ConfigError as err:
        assert err.problems
        for line in err.problems:
            assert line.startswith(f"{path}:") and line.isprintable() and len(line) < 500


def test_nothing_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read(tmp_path, WHOLE)
    assert not caplog.records


def test_a_model_is_frozen() -> None:
    config = WatchConfig.model_validate({"sources": [{"id": "a", "device": "b"}]})
    with pytest.raises(ValueError, match="frozen"):
        config.hop = 1
    assert config.model_copy() == config
