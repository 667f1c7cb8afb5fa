"""What this device has and lacks for listening, one check at a time, problems with their remedy.

A check that fails is a problem and the next one goes on. onnxruntime and llama.cpp are imported
where they are needed, so that the doctor can tell that one is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

import numpy as np

from listen_edge import __version__
from listen_edge.audio import at_16_khz, level_dbfs
from listen_edge.audio.audibility import CLIPPED_SHARE, audibility, is_clipped
from listen_edge.errors import BackendError, ListenEdgeError, MissingExtraError, one_line
from listen_edge.runtime.measure.memory import proc_mb
from listen_edge.runtime.sources import Block, Source
from listen_edge.runtime.sources.devices import choose_device
from listen_edge.runtime.sources.microphone import MicrophoneSource, input_devices

if TYPE_CHECKING:
    from listen_edge.runtime.engine import Engine

TYPICAL_QUESTIONS = (
    "siren?",
    "dog barking?",
    "glass breaking?",
    "crying baby?",
    "door knock?",
    "rain?",
    "engine?",
    "footsteps?",
)
LISTEN_S = 1.5  # of sound to judge the level by
GIVE_UP_S = 5.0  # a sound server may take a second or two to begin
_READ_S = 0.2

_PACKAGES = {  # distributions of which one is needed -> what to install
    ("onnxruntime", "onnxruntime-gpu"): "listen-edge[cpu]",
    ("llama-cpp-python",): "listen-edge",
    ("sounddevice",): "listen-edge[mic]",
}
_REMEDIES = {  # by check, for errors that name none
    "audio devices": "is the sound server running, and is this user in the group audio?",
    "audio level": "does another program use it? choose another with --device",
    "backends": "use --backend cpu",
    "bundle": "copy or export the bundle again",
}

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One finding; a remedy when it is not ok."""

    name: str
    status: Status
    found: str
    remedy: str | None = None


def examine(
    *,
    device: str | None = None,
    bundle: str = "tiny",
    backend: str = "auto",
    n_threads: int | None = None,
    llm: str = "auto",
    questions: Sequence[str] = (),
) -> Iterator[Check]:
    """Yield each check when it is done.

    Args:
        device: as for MicrophoneSource.
        bundle: as for open_bundle.
        backend, n_threads, llm: as for Engine.
        questions: to time a window with; default: TYPICAL_QUESTIONS.
    """
    yield check_packages()
    yield check_ffmpeg()
    yield _attempt("audio devices", lambda: check_devices(device))
    yield _attempt("audio level", lambda: check_level(MicrophoneSource(device)))
    yield from examine_engine(bundle, backend, n_threads, questions or TYPICAL_QUESTIONS, llm=llm)


def examine_engine(
    bundle: str,
    backend: str,
    n_threads: int | None,
    questions: Sequence[str],
    *,
    llm: str = "auto",
) -> Iterator[Check]:
    """Load an engine, once, and yield the checks about it; arguments as for examine."""
    available_mb = proc_mb("meminfo", "MemAvailable")
    with ExitStack() as stack:
        engine, failure = None, None
        try:
            from listen_edge.runtime.engine import load

            engine = stack.enter_context(
                load(bundle, backend=backend, n_threads=n_threads, llm=llm)
            )
        except ListenEdgeError as err:
            failure = err
        refusal = failure if isinstance(failure, (BackendError, MissingExtraError)) else None
        yield _attempt("backends", lambda: check_backends(engine, refusal))
        yield _attempt("threads", lambda: check_threads(n_threads))
        if engine is None:
            assert failure is not None
            yield _not_checked("bundle") if refusal else _problem("bundle", failure)
            yield _not_checked("self-test")
            yield _not_checked("real-time margin")
            yield _not_checked("memory")
            return
        yield _attempt("bundle", lambda: check_answers(engine))
        yield _attempt("self-test", lambda: check_hearing(engine))
        yield _attempt("real-time margin", lambda: check_margin(engine, questions))
        yield check_memory(available_mb)


def check_packages() -> Check:
    """Look for the packages that listening needs, without importing them."""
    found = [f"Python {platform.python_version()}", f"listen-edge {__version__}"]
    remedies = []
    for distributions, requirement in _PACKAGES.items():
        installed = [f"{name} {v}" for name in distributions if (v := _version(name))]
        if not installed:
            remedies.append(f"pip install '{requirement}'")
        elif len(installed) > 1:  # they overwrite each other's files
            remedies.append(f"pip uninstall {' '.join(distributions)}, and install one of them")
        found += installed or [f"no {distributions[0]}"]
    return Check(
        "packages", "problem" if remedies else "ok", ", ".join(found), "; ".join(remedies) or None
    )


def check_ffmpeg() -> Check:
    """Look for ffmpeg."""
    path = shutil.which("ffmpeg")
    if path is None:
        found = "not installed; only URLs, and files that libsndfile does not read, need it"
        return Check("ffmpeg", "warning", found, "apt-get install ffmpeg")
    return Check("ffmpeg", "ok", path)


def check_devices(wanted: str | None) -> Check:
    """Choose among the audio input devices.

    Raises:
        AudioError: PortAudio is missing or does not answer, or no device is meant by `wanted`.
    """
    devices = input_devices()
    if not devices:
        remedy = "plug one in, start the sound server, or listen with --url or --stdin"
        return Check("audio devices", "problem", "there is no audio input device", remedy)
    chosen = choose_device(devices, wanted)
    found = f"{len(devices)} found; listening to {chosen['index']}: {chosen['name']}"
    return Check("audio devices", "ok", found)


def check_level(source: Source) -> Check:
    """Listen for a moment and judge what came; the source is closed whatever happens.

    Raises:
        AudioError: the source cannot be opened, or is lost.
    """
    try:
        source.open()
        blocks = _hear(source)
    finally:
        source.close()
    if not blocks:
        found = f"nothing was delivered in {GIVE_UP_S:g} s"
        remedy = "plug it in again, restart the sound server, or choose another with --device"
        return Check("audio level", "problem", found, remedy)
    rate, n_channels = blocks[0].rate, blocks[0].samples.shape[1]
    channels = np.concatenate([block.samples for block in blocks])
    level, deaf = level_dbfs(channels), audibility(at_16_khz(channels, rate), len(channels)).deaf
    shown = "digital silence" if level is None else f"{level:.1f} dBFS"
    found = f"{shown} in {len(channels) / rate:.1f} s at {rate} Hz, {n_channels} channels"
    if deaf == "silent_input":
        found += "; every answer would be unknown (silent_input)"
        remedy = "unmute or plug in the microphone, or choose another with --device"
    elif is_clipped(channels):
        found += f"; more than {CLIPPED_SHARE:.0%} of the samples are at full scale"
        remedy = "turn the gain down"
    elif any(block.has_overflowed for block in blocks):
        found += "; samples were lost"
        remedy = "stop what else keeps this device busy"
    elif deaf is not None:
        found += f"; every answer would be unknown ({deaf})"
        return Check("audio level", "warning", found, "turn the gain up")
    else:
        return Check("audio level", "ok", found)
    return Check("audio level", "problem", found, remedy)


def check_backends(engine: Engine | None, refusal: ListenEdgeError | None) -> Check:
    """Tell what encoder and LLM run on; a refusal is why the engine could not be loaded."""
    from listen_edge.runtime.encoder_session import available_backends
    from listen_edge.runtime.llama.session import gpu_is_supported

    found = (
        f"onnxruntime offers {', '.join(available_backends())}; llama.cpp built "
        f"{'with' if gpu_is_supported() else 'without'} GPU support"
    )
    if engine is not None:
        llm = "the GPU" if engine.llm_on_gpu else "cpu"
        found += f"; encoder on {engine.backend}, LLM on {llm}"
    if refusal is None:
        return Check("backends", "ok", found)
    problem = _problem("backends", refusal)
    return Check("backends", "problem", f"{found}; {problem.found}", problem.remedy)


def check_threads(wanted: int | None) -> Check:
    """Compare the threads with the cores."""
    from listen_edge.runtime.threads import usable_cores

    n_usable = usable_cores()
    n_threads = wanted or n_usable
    found = f"{n_threads} threads on {n_usable} usable of {os.cpu_count()} cores"
    if n_threads > n_usable:
        return Check("threads", "warning", found, f"use --threads {n_usable}: more are slower")
    return Check("threads", "ok", found)


def check_answers(engine: Engine) -> Check:
    """Compare this device's answers about the bundle's examples with the recorded ones."""
    from listen_edge.runtime.verify import compare_examples

    differences, n_answers = compare_examples(engine)
    if not differences:
        return Check("bundle", "ok", f"{engine.bundle.id}, {n_answers} answers as recorded")
    found = (
        f"{engine.bundle.id}, {len(differences)} of {n_answers} answers differ: "
        f"{', '.join(differences)}"
    )
    remedy = "try --backend cpu, and other versions of onnxruntime and llama-cpp-python"
    return Check("bundle", "problem", found, remedy)


def check_hearing(engine: Engine) -> Check:
    """Compare the answers about an example and about a quiet room.

    Raises:
        BackendError, BundleError: they do not differ.
    """
    from listen_edge.runtime.verify import self_test

    found = self_test(engine)
    if found is None:
        remedy = "export the bundle with --example and --example-question"
        return Check("self-test", "warning", "the bundle has no example to be tested with", remedy)
    return Check("self-test", "ok", found)


def check_margin(engine: Engine, questions: Sequence[str]) -> Check:
    """Compare the time that a window takes with the hop.

    Raises:
        QuestionError: a question that names no sound.
    """
    from listen_edge.runtime.listening.pace import pace_remedy, window_seconds

    seconds = window_seconds(engine, questions)
    found = (
        f"{seconds:.2f} s per window with {len(questions)} questions, hop {engine.hop_s:g} s: "
        f"margin {engine.hop_s / seconds:.1f}x"
    )
    remedy = pace_remedy(seconds, engine.hop_s, engine.window_s)
    return Check("real-time margin", "problem" if remedy else "ok", found, remedy)


def check_memory(available_mb: float | None) -> Check:
    """Compare what this process has used at most with what was available before it loaded."""
    used_mb = proc_mb("self/status", "VmHWM")
    if used_mb is None or available_mb is None:
        return Check("memory", "ok", "not known on this system")
    found = f"{used_mb:.0f} MB used, {available_mb:.0f} MB were available"
    if available_mb < 2 * used_mb:
        remedy = "end other programs, or use a smaller bundle: little is left for the rest"
        return Check("memory", "warning", found, remedy)
    return Check("memory", "ok", found)


def _hear(source: Source) -> list[Block]:
    """Return blocks of LISTEN_S, fewer when GIVE_UP_S have passed."""
    blocks: list[Block] = []
    heard_s, give_up_at_s = 0.0, time.monotonic() + GIVE_UP_S
    while heard_s < LISTEN_S and time.monotonic() < give_up_at_s:
        block = source.read(_READ_S)
        if block is not None:
            blocks.append(block)
            heard_s += len(block.samples) / block.rate
    return blocks


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _attempt(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except ListenEdgeError as err:
        return _problem(name, err)


def _problem(name: str, err: ListenEdgeError) -> Check:
    """Split an error's sentence into what was found and its remedy, as our errors are worded."""
    found, _, remedy = one_line(err, None).rpartition("; ")
    if not found:
        found, remedy = remedy, _REMEDIES.get(name, "`listen-edge -v doctor` logs more")
    return Check(name, "problem", found, remedy)


def _not_checked(name: str) -> Check:
    return Check(name, "warning", "not checked: nothing was loaded", "mend the problem above")
