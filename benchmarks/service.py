"""The service under load: windows in time, what outputs cost, answers over HTTP, a page, memory.

    python -m benchmarks.service                 # all parts, about nine minutes
    python -m benchmarks.service outputs ask     # some

`listen-edge watch` runs as a process of its own, on four sources of 28 s that are played over and
over: the bundle's recordings among quiet noise, a sound every seven seconds, so that neither events
nor the LLM are spared. Memory over days: service_memory.py.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import soundfile
import yaml
from numpy.typing import NDArray
from playwright.sync_api import Response

from listen_edge.audio import read_audio
from listen_edge.bundle.opening import bundle_folder
from listen_edge.log_mel import SAMPLE_RATE
from listen_edge.question import parse_concept
from listen_edge.runtime.engine import load as load_engine
from listen_edge.runtime.service.config.fields import id_of
from listen_edge.runtime.service.records.store import Store
from tests.browsing import browser
from tests.http_receiver import receiver
from tests.mosquitto import running, wait_until

CLIPS = bundle_folder("tiny") / "clips"
PERIOD_S, HOP_S, N_THREADS = 28, 2.0, 2
SOURCES = ("kitchen", "hall", "cellar", "garage")
QUESTIONS = (
    *("siren?", "dog barking?", "glass breaking?", "baby crying?"),
    *("smoke alarm?", "car horn?", "door knock?", "cat meowing?"),
)
Row = tuple[str, str]


def material(number: int) -> np.ndarray:
    """Return one period of a source: the four recordings, each source's in its own order."""
    rng = np.random.default_rng(number)
    samples = rng.normal(0, 0.001, PERIOD_S * SAMPLE_RATE).astype(np.float32)
    for place, path in enumerate(rng.permutation(sorted(CLIPS.iterdir()))):
        sound, start = read_audio(path)[: 5 * SAMPLE_RATE], (1 + 7 * place) * SAMPLE_RATE
        samples[start : start + len(sound)] += sound
    return samples


class Watch:
    """A service that runs as a process."""

    def __init__(self, folder: Path) -> None:
        self._config, self._log = folder / "listen.yaml", folder / "log"
        self._keys: dict[str, Any] = {
            "threads": N_THREADS,
            "hop": HOP_S,
            "sources": [{"id": one, "file": f"{folder}/{one}.wav"} for one in SOURCES],
            "questions": list(QUESTIONS),
            "events": {"path": f"{folder}/events.db"},
        }
        for number, source in enumerate(SOURCES):
            soundfile.write(folder / f"{source}.wav", material(number), SAMPLE_RATE)
        self._n_read = 0

    def start(self, **keys: Any) -> None:
        self._config.write_text(yaml.safe_dump(self._keys | {"outputs": {"lines": None}} | keys))
        command = [sys.executable, "-m", "listen_edge", "watch", "--config", str(self._config)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        wait_until(lambda: "listening to" in self._log.read_text(), 60)

    def reload(self, **keys: Any) -> None:
        """Go on with other outputs; the sources are not closed."""
        self._config.write_text(yaml.safe_dump(self._keys | {"outputs": {"lines": None}} | keys))
        self.process.send_signal(signal.SIGHUP)
        self._n_read += 1
        wait_until(lambda: self._log.read_text().count("was read again") == self._n_read)

    @property
    def url(self) -> str:
        return re.findall(r"page and API at (\S+)", self._log.read_text())[-1]

    def sources(self) -> list[dict[str, Any]]:
        return list(httpx.get(f"{self.url}v1/sources", trust_env=False).json())

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)


WEB = {"listen": "127.0.0.1:0"}


def cpu_s(process: int) -> float:
    """Return the seconds that a process has computed, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thread_s(process: int) -> dict[str, float]:
    """Return the seconds that each thread of a process has computed."""
    spent: dict[str, float] = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # it has ended since
            spent[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return spent


def rss_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def watching(folder: Path, **keys: Any) -> Iterator[Watch]:
    watch = Watch(folder)
    watch.start(**keys)
    try:
        yield watch
    finally:
        watch.process.terminate()
        watch.process.wait()


def load(folder: Path, seconds: float) -> Iterator[Row]:
    """Four sources, eight questions: are all windows answered in time?"""
    with watching(folder, web=WEB) as watch:
        lags, began_s, before_s = [], time.monotonic(), watch.cpu_s()
        while time.monotonic() - began_s < seconds:
            time.sleep(1)
            lags += [source["lag_s"] for source in watch.sources()]
        share = (watch.cpu_s() - before_s) / (time.monotonic() - began_s)
        sources = watch.sources()
        n_windows, n_dropped = (sum(s[k] for s in sources) for k in ("n_windows", "n_dropped"))
        yield "windows answered / dropped", f"{n_windows} / {n_dropped}"
        yield "share of one core", f"{100 * share:.1f} %"
        low, p95, high = np.quantile(lags, (0.5, 0.95, 1.0))
        yield "lag, median / p95 / longest", f"{low:.3f} / {p95:.3f} / {high:.3f} s"
        yield "memory of the process", f"{rss_mb(watch.process.pid):.0f} MB"


@contextmanager
def streamed(url: str) -> Iterator[deque[str]]:
    """Look on as the page does, in a thread; gives the newest line."""
    lines: deque[str] = deque(maxlen=1)

    def read() -> None:
        with (
            suppress(httpx.HTTPError),
            httpx.stream("GET", f"{url}v1/stream", trust_env=False, timeout=None) as response,
        ):
            lines.extend(response.iter_lines())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield lines


def outputs(folder: Path, seconds: float, **keys: Any) -> Iterator[Row]:
    """The same with nobody who is told, and with all outputs, in turns within one process.

    Their threads' own seconds stand beside it: the engine's vary by more than outputs take.
    """
    shares: dict[bool, list[float]] = {False: [], True: []}
    own: list[float] = []
    with watching(folder, **keys) as watch, running(folder) as broker, receiver() as hook:
        told = {
            "lines": {"path": f"{folder}/lines.jsonl"},
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "webhooks": [{"id": "phone", "url": hook.url, "allow_private": True}],
        }
        for is_told in (False, True) * 3:
            others = thread_s(watch.process.pid)
            watch.reload(**keys, **({"outputs": told, "web": WEB} if is_told else {}))
            with streamed(watch.url) if is_told else nullcontext([]) as lines:
                time.sleep(1.5)
                before = thread_s(watch.process.pid)
                began_s, before_s = time.monotonic(), watch.cpu_s()
                time.sleep(seconds)
                lived_s, spent_s = time.monotonic() - began_s, watch.cpu_s() - before_s
                after = thread_s(watch.process.pid)
            shares[is_told].append(spent_s / lived_s)
            if is_told:
                new = [one for one in after if one not in others]
                own.append(sum(after[one] - before.get(one, 0.0) for one in new) / lived_s)
        n_dropped = sum(source["n_dropped"] for source in watch.sources())
        assert lines, "nobody looked on"
        alone = median(shares[False])
        for is_told, words in ((False, "nobody is told"), (True, "all are told")):
            each = ", ".join(f"{100 * share:.2f}" for share in shares[is_told])
            yield f"share of one core, {words}", f"{100 * median(shares[is_told]):.2f} % ({each})"
        extra = 100 * (median(shares[True]) / alone - 1)
        yield "outputs add, by the difference", f"{extra:+.1f} % of compute"
        each = ", ".join(f"{100 * share:.2f}" for share in own)
        yield "share of one core, their threads", f"{100 * median(own):.2f} % ({each})"
        yield "outputs add, by their threads", f"{100 * median(own) / alone:+.1f} % of compute"
        yield "meanwhile", f"{n_dropped} windows dropped, {len(hook.requests)} webhooks"


def seldom(folder: Path, seconds: float) -> Iterator[Row]:
    """The same sounds, but of each only one event an hour: what outputs cost without events."""
    yield from outputs(folder, seconds, defaults={"cooldown": 3600})


def timed(call: Callable[[], object], n: int, n_at_once: int) -> NDArray[np.float64]:
    """Return the seconds that each of n calls took."""

    def one(_: int) -> float:
        began_s = time.perf_counter()
        call()
        return time.perf_counter() - began_s

    with ThreadPoolExecutor(n_at_once) as pool:
        return np.array(list(pool.map(one, range(n))))


def ask(folder: Path, seconds: float) -> Iterator[Row]:
    """Uploads of 5 s while four sources are listened to, beside the engine alone with that clip."""
    wav, lock = io.BytesIO(), threading.Lock()
    samples = read_audio(CLIPS / "siren.ogg")
    soundfile.write(wav, samples, SAMPLE_RATE, format="WAV")
    with (
        watching(folder, web=WEB) as watch,
        load_engine("tiny", n_threads=N_THREADS) as engine,
        httpx.Client(base_url=watch.url, trust_env=False, timeout=60) as client,
    ):

        def upload() -> httpx.Response:
            sent = {"content": wav.getvalue(), "headers": {"content-type": "audio/wav"}}
            return client.post("v1/ask", params={"question": "siren?"}, **sent)

        def engine_alone() -> None:
            with lock:
                engine.ask(samples, ["siren?"])

        times: dict[tuple[str, int], list[NDArray[np.float64]]] = defaultdict(list)
        until_s = time.monotonic() + seconds
        timed(engine_alone, 5, 1), timed(upload, 5, 1)
        while time.monotonic() < until_s:
            for n_at_once in (1, 4):
                times["engine", n_at_once].append(timed(engine_alone, 20, n_at_once))
                times["/v1/ask", n_at_once].append(timed(upload, 20, n_at_once))
        taken = {key: 1000 * np.concatenate(runs) for key, runs in times.items()}
        for (name, n_at_once), ms in sorted(taken.items()):
            p50, p95 = np.quantile(ms, (0.5, 0.95))
            yield f"{name}, {n_at_once} at once", f"p50 {p50:.0f}, p95 {p95:.0f} ms"
        for n_at_once in (1, 4):
            pair = (taken[name, n_at_once] for name in ("/v1/ask", "engine"))
            above, below = (np.quantile(ms, 0.95) for ms in pair)
            yield f"p95 over the engine's, {n_at_once} at once", f"{above / below:.2f}"
        with ThreadPoolExecutor(32) as pool:
            replies = list(pool.map(lambda _: upload(), range(32)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused and all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    waits = sorted({reply.headers["retry-after"] for reply in refused})
    n_answered = sum(reply.status_code == 200 for reply in replies)
    yield (
        "32 at once",
        f"{n_answered} answered, {len(refused)} times 429, Retry-After {' or '.join(waits)} s",
    )


def page(folder: Path, _: float) -> Iterator[Row]:
    """All that Chromium loads with the page where the sources have been listened to for hours."""
    now = datetime.now(timezone.utc)
    with closing(Store(folder / "events.db", None)) as store:
        for ago, source, ask in itertools.product(range(900, 0, -1), SOURCES, QUESTIONS):
            at = now - timedelta(seconds=HOP_S * ago)
            store.add_presence(source, id_of(parse_concept(ask)), at, ago % 97 / 97)
    with watching(folder, web=WEB) as watch, browser() as chromium:
        replies: list[Response] = []
        looked = chromium.new_page()
        looked.on("response", lambda reply: replies.append(reply))
        looked.goto(watch.url)
        looked.locator("html[data-loaded]").wait_for()
        looked.wait_for_load_state("load")
        time.sleep(2)
        sizes = {
            reply.url.removeprefix(watch.url): reply.request.sizes()["responseBodySize"]
            for reply in replies
            if "/stream" not in reply.url
        }
    own = [size for path, size in sizes.items() if not path.startswith("v1/")]
    past = [size for path, size in sizes.items() if path.startswith("v1/history")]
    yield "its own files", f"{len(own)}, {sum(own) / 1000:.1f} kB"
    yield "of it past presence", f"{len(past)}, {sum(past) / 1000:.1f} kB"
    yield "all", f"{len(sizes)}, {sum(sizes.values()) / 1000:.1f} kB"


PARTS = {  # name: what it does, and its seconds
    "load": (load, 60.0),
    "outputs": (outputs, float(PERIOD_S)),
    "seldom": (seldom, float(PERIOD_S)),
    "ask": (ask, 60.0),
    "page": (page, 0.0),
}


def main() -> None:
    """Run the parts that are asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--seconds", type=float, help="of each part that runs over time")
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        measure, seconds = PARTS[name]
        print(f"{name}: {measure.__doc__.splitlines()[0]}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for what, figure in measure(Path(folder), arguments.seconds or seconds):
                print(f"  {what:<38} {figure}", flush=True)


if __name__ == "__main__":
    main()
