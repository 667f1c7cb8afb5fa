"""A thread that reads a pipe into a bounded queue, so that no reader blocks the listener."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from listen_edge.audio.containers import CHAIN_BYTES, HEAD_BYTES, container_kind, may_be_frames
from listen_edge.errors import AudioError, ListenEdgeError
from listen_edge.runtime.sources import Block, EndOfStream

QUEUE_S = 20.0  # of sound that may wait for the listener


class BackgroundReader:
    """Calls `read_block` on a thread of its own until it returns None or raises an error.

    Args:
        read_block: blocks until there is a block; None at the end.
        drops_oldest: what happens when QUEUE_S wait: the oldest are dropped and the next block
            says so (a live source), or the thread waits (a recording).
    """

    def __init__(self, read_block: Callable[[], Block | None], *, drops_oldest: bool) -> None:
        self._read_block = read_block
        self._drops_oldest = drops_oldest
        self._blocks: deque[Block] = deque()
        self._queued_s = 0.0
        self._ending: Exception | None = None
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Block | None:
        """Return the next block, None after timeout_s; raises what ended the source."""
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._ending, timeout_s)
            if self._blocks:
                block = self._blocks.popleft()
                self._queued_s -= _seconds(block)
                self._changed.notify_all()
                return block
            if self._ending is not None:
                raise self._ending
            return None

    def close(self, timeout_s: float) -> None:
        """Let the thread end; the caller has ended what it reads from."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        ending: Exception = EndOfStream()
        try:
            while (block := self._read_block()) is not None:
                if not self._put(block):
                    return
        except (ListenEdgeError, OSError, ValueError) as err:
            ending = err if isinstance(err, ListenEdgeError) else AudioError(str(err))
        with self._changed:
            self._ending = ending
            self._changed.notify_all()

    def _put(self, block: Block) -> bool:
        with self._changed:
            if self._drops_oldest:
                while self._blocks and self._queued_s + _seconds(block) > QUEUE_S:
                    self._queued_s -= _seconds(self._blocks.popleft())
                    follower = self._blocks[0] if self._blocks else block
                    marked = replace(follower, has_overflowed=True)
                    if self._blocks:
                        self._blocks[0] = marked
                    else:
                        block = marked
            else:
                self._changed.wait_for(lambda: self._is_closed or self._queued_s < QUEUE_S)
            if self._is_closed:
                return False
            self._blocks.append(block)
            self._queued_s += _seconds(block)
            self._changed.notify_all()
            return True


class PcmPipe:
    """Interleaved PCM from a file descriptor -> blocks of whole frames.

    Args:
        fd: read to its end; not closed.
        rate, n_channels: of the stream.
        dtype: little-endian "s16le" or "f32le".
    """

    def __init__(self, fd: int, rate: int, n_channels: int, dtype: str) -> None:
        self._fd, self._rate, self._n_channels = fd, rate, n_channels
        self._dtype = np.dtype({"s16le": "<i2", "f32le": "<f4"}[dtype])
        self._frame_bytes = n_channels * self._dtype.itemsize
        self._block_bytes = max(1, rate // 10) * self._frame_bytes
        self._rest, self._has_begun = b"", False

    def read_block(self) -> Block | None:
        """Return what is there, at most 0.1 s; None at the end. A frame cut in two is dropped."""
        while True:
            read = os.read(self._fd, self._block_bytes)
            data = self._rest + read
            if not self._has_begun:
                if read and _is_too_little(data):  # a writer may begin slowly
                    self._rest = data
                    continue
                self._has_begun = True
                _refuse_container(data)
            n_whole = len(data) - len(data) % self._frame_bytes
            self._rest = data[n_whole:]
            if n_whole:
                return self._block(data[:n_whole])
            if not read:
                return None

    def _block(self, data: bytes) -> Block:
        samples = np.frombuffer(data, self._dtype).astype(np.float32)
        if self._dtype.kind == "i":
            samples /= 32768
        return Block(samples.reshape(-1, self._n_channels), self._rate, time.monotonic())


def _is_too_little(head: bytes) -> bool:
    """Tell whether more bytes are needed to know a file from raw PCM."""
    return len(head) < (CHAIN_BYTES if may_be_frames(head) else HEAD_BYTES)


def _refuse_container(head: bytes) -> None:
    """Raise AudioError if what begins so is a file and not raw PCM."""
    kind = container_kind(head)
    if kind is not None:
        raise AudioError(
            f"stdin holds {kind}, not raw PCM; save it and use `ask` or `replay`, or pipe it "
            "through `ffmpeg -i - -f s16le -ac 1 -ar 16000 -`"
        )


def _seconds(block: Block) -> float:
    return len(block.samples) / block.rate
