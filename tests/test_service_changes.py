"""What people change while a service runs: kept over restarts, refused in words, no leaks."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from listen_edge.errors import ListenEdgeError, QuestionError
from listen_edge.lines.heard import HeardLine
from listen_edge.runtime.service.first_minutes import FirstMinutes
from listen_edge.runtime.service.kept import Added, Changes, Kept, Moved, Muted
from listen_edge.runtime.service.questions import MAX_ADDED, UnknownIdError
from tests.rooms import house, service_threads, wait_for

TWO = [{"id": "kitchen", "device": "a"}, {"id": "hall", "device": "b"}]


@pytest.fixture()
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    return lambda **config: house(tmp_path, monkeypatch, **config)


def bell(k: int) -> str:
    """Return one of 64 sounds that nobody has heard of."""
    return f"{'bdfghklm'[k // 8]}o{'mnprstvw'[k % 8]}o bell"


def test_a_question_is_added_asked_moved_kept_and_removed(built: Any) -> None:
    with built(sources=TWO) as at:
        added = at.service.add_question("Is there a dog barking?", ["hall"], on=0.95)
        assert (added.id, added.sources, added.from_config) == ("dog-barking", ("hall",), False)
        assert (added.on, added.off) == (0.95, 0.5)
        wait_for(lambda: len(at.service.soundings()) == 3, "its answers")
        at.rooms["hall"].level = 0.9
        wait_for(lambda: at.events(question="siren"), "the other question's event")
        assert at.events(question="dog-barking") == []
        assert at.service.set_thresholds("dog-barking", 0.8, 0.3).on == 0.8
        at.service.set_thresholds("siren", 0.6, 0.4)
        event = wait_for(lambda: at.events(question="dog-barking"), "its event")[0]
        assert (event.source, event.on, event.off) == ("hall", 0.8, 0.3)
        before = at.service.questions()
        at.service.stop()
        with at.open():
            assert at.service.questions() == before
            at.rooms["hall"].level = 0.9
            wait_for(lambda: len(at.events(question="dog-barking")) == 2, "another event")
            at.service.remove_question("dog-barking")
            ended = wait_for(lambda: (e := at.events(question="dog-barking")[1]).ended_at and e)
            assert ended.reason == "stopped" and [q.id for q in at.service.questions()] == ["siren"]
            at.service.reload(at.configured(sources=TWO, questions=[{"ask": "siren?", "on": 0.9}]))
            assert at.service.questions()[0].on == 0.9  # the configuration's own change holds


def test_what_cannot_be_asked_is_refused_in_words(built: Any) -> None:
    with built(sources=TWO) as at:
        add, before = at.service.add_question, at.service.questions()
        for error, words, arguments in (
            (QuestionError, "is asked of kitchen already, as question siren", ("a siren?",)),
            (QuestionError, "sound", ("?",)),
            (QuestionError, "cannot be printed", ("dog\x1bbarking?",)),
            (UnknownIdError, 'no source "attic"; there are kitchen, hall', ("dog?", ["attic"])),
            (ListenEdgeError, "0 < off <= on < 1", ("dog?", None, 0.2, 0.9)),
            (ListenEdgeError, "0 < off <= on < 1", ("dog?", None, 1.5)),
        ):
            with pytest.raises(error, match=words):
                add(*arguments)
        with pytest.raises(ListenEdgeError, match="0 < off <= on < 1"):
            at.service.set_thresholds("siren", 0.2, 0.9)
        with pytest.raises(ListenEdgeError, match="stands in the configuration"):
            at.service.remove_question("siren")
        for change in (
            at.service.remove_question,
            lambda q: at.service.set_thresholds(q, 0.9, 0.1),
        ):
            with pytest.raises(UnknownIdError, match='no question "dog"; there are siren'):
                change("dog")
        assert at.service.questions() == before
        for k in range(MAX_ADDED):
            add(bell(k), ["hall"])
        with pytest.raises(ListenEdgeError, match="64 questions were added already"):
            add("dog?")


def test_fifty_reloads_and_mutes_leave_threads_and_handles_as_they_were(built: Any) -> None:
    with built(sources=TWO) as at:
        other = at.configured(sources=[TWO[0], {"id": "hall", "device": "c"}])
        wait_for(lambda: at.reasons() == {None}, "both")

        def count() -> tuple[list[str], int]:
            return service_threads(), len(list(Path("/proc/self/fd").iterdir()))

        gc.collect()  # what other tests have left, such as paho's sockets
        before = count()
        n_objects = len(gc.get_objects())
        for k in range(50):
            at.service.reload(at.config if k % 2 else other)
            at.service.mute("kitchen")
            wait_for(lambda: not at.rooms["kitchen"].is_open, "mute")
            at.service.unmute("kitchen")
        wait_for(lambda: at.reasons() == {None}, "both")
        assert count() == before
        gc.collect()
        assert len(gc.get_objects()) - n_objects < 2000
        assert at.n_rooms_made == 52  # kitchen's one, and hall's


def test_changes_from_many_threads_at_once_are_all_there(built: Any) -> None:
    with built(sources=TWO) as at:
        words = [bell(k) for k in range(8)]
        threads = [threading.Thread(target=at.service.add_question, args=(w,)) for w in words]
        threads += [
            threading.Thread(target=at.service.set_thresholds, args=("siren", 0.9, 0.2))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        asked = at.service.questions()
        assert {q.ask for q in asked} == {"siren?", *words} and asked[0].on == 0.9
        wait_for(lambda: len(at.service.soundings()) == 2 * 9, "all answers")
        assert len(Kept.read(at.folder / "events.db.changes.json").changes.added) == 8


CHANGES = Changes(
    (Added("dog", "dog?", None, None, 0.5, "safety"), Added("cat", "cat?", ("a",), 1, 0, "normal")),
    (Moved("dog", 0.9, 0.5, 0.8, 0.4),),
    (Muted("a", None), Muted("b", "2026-01-01T00:00:00+00:00")),
)


def test_an_added_question_that_cannot_be_asked_any_more_stops_no_start(
    built: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version's grammar may refuse what this one took."""
    with built(sources=TWO) as at:
        at.service.add_question("dog?")
        at.service.stop()
        kept = Kept.read(at.folder / "events.db.changes.json")
        (dog,) = kept.changes.added
        others = (
            replace(dog, id="gong", ask="no gong and no bell?"),
            replace(dog, id="cat", ask="cat?", on=0.2, off=0.9),
        )
        kept.write(replace(kept.changes, added=(others[0], dog, others[1])))
        with at.open():
            assert [q.id for q in at.service.questions()] == ["siren", "dog"]
            told = [line for line in caplog.messages if "left out" in line]
            assert [line.split()[1] for line in told] == ["gong,", "cat,"]
            at.service.reload(at.config)
            at.service.add_question("cow?")
            left = Kept.read(kept.path).changes.added  # for a version that takes them again
            assert [one.id for one in left] == ["gong", "dog", "cat", "cow"]
            at.service.remove_question("gong")
            with pytest.raises(UnknownIdError):
                at.service.set_thresholds("cat", 0.9, 0.2)
            assert [q.id for q in at.service.questions()] == ["siren", "dog", "cow"]


def test_changes_are_read_as_they_were_written_by_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "changes.json"
    Kept(path).write(CHANGES)
    assert Kept.read(path).changes == CHANGES and path.stat().st_mode & 0o777 == 0o600
    assert Kept.read(tmp_path / "none.json").changes == Changes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"v": 1', '"v": 2'),
        ('"safety"', '"urgent"'),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00"),
        ('"question"', '"sound"'),
        ("0.9", '"0.9"'),
        (
            "{",
            "",
        ),
    ],
)
def test_a_damaged_file_of_changes_is_an_error_and_mutes_nothing_by_guess(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "changes.json"
    Kept(path).write(CHANGES)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ListenEdgeError, match="which sources are muted"):
        Kept.read(path)


def test_a_disk_that_is_full_is_told_and_the_change_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(tmp_path / "gone" / "changes.json")
    kept.write(CHANGES)
    assert kept.changes == CHANGES and "it holds until the end" in caplog.text


def heard(source: str, *sounds: tuple[str, float], reason: Any = None) -> HeardLine:
    told = None if reason else sounds
    return HeardLine(source, (0.0, 5.0), told, reason, None, 0.0, 0.0, "fake")


def test_the_first_minutes_say_what_was_heard_most_and_what_was_not_heard() -> None:
    first = FirstMinutes()
    assert first.heard() == [] and first.report() == []
    for line in (
        heard("kitchen", ("speech", 0.9), ("music", 0.6)),
        heard("kitchen", ("speech", 0.95)),
        heard("kitchen"),
        heard("hall", reason="silent_input"),
    ):
        first.take(line)
    assert first.heard() == [("speech", 0.5, 0.95), ("music", 0.25, 0.6)]
    assert first.report() == [
        "kitchen: in 3 windows: speech 67 % (up to 0.95), music 33 % (up to 0.60), "
        "none of the sounds it knows 33 %",
        "hall: in 1 windows: unknown (silent_input) 100 %",
    ]
