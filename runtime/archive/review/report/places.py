"""Where a recording was made, as far as the archive says so."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from listen_edge.errors import ListenEdgeError
from listen_edge.printable import escaped
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.parts import read_listing

MAX_PLACES = 1_000  # what is beyond is counted together
OTHERS, NOT_SAID = "all others", "not said"
_COLUMNS = ("site", "device")  # of a manifest, the first that it has


class Places:
    """The places of a scan: a column of its manifest, or the recordings' folders.

    Args:
        job: whose recordings they are of.
        by: a column of the manifest; None: site, else device, else the folder that tells the
            recordings apart.

    Attributes:
        column: of the rows, that says where.
        title: of a table of places.
        numbers: of those met so far, by name.

    Raises:
        ListenEdgeError: the scan's rows have no such column.
    """

    def __init__(self, job: Job, by: str | None) -> None:
        carried = [field.name for field in job.carried if not pa.types.is_nested(field.type)]
        if by is not None and by not in carried:
            raise ListenEdgeError(
                f"--by {escaped(by)}: no column that came from a manifest of this scan; it has "
                f"{', '.join(map(escaped, carried)) or 'none'}"
            )
        found = by or next((name for name in _COLUMNS if name in carried), None)
        self.column, self.title = found or "recording", found or "folder"
        self._above = None if found else _folder_of_all(job)
        self.numbers: dict[str, int] = {}
        self._number = lru_cache(maxsize=4096)(self._numbered)

    def of(self, column: pa.Array) -> NDArray[np.int64]:
        """Return for each row the number of its place."""
        if pa.types.is_dictionary(column.type) and column.null_count:
            column = column.dictionary_decode()
        coded = pc.dictionary_encode(column, null_encoding="encode")
        numbers = [self._number(value) for value in coded.dictionary.to_pylist()]
        found: NDArray[np.int64] = np.array(numbers, np.int64)[coded.indices.to_numpy()]
        return found

    def _numbered(self, value: Any) -> int:
        name = self._name(value)
        if name not in self.numbers and len(self.numbers) >= MAX_PLACES:
            name = OTHERS
        return self.numbers.setdefault(name, len(self.numbers))

    def _name(self, value: Any) -> str:
        if value is None:
            return NOT_SAID
        if self._above is None:
            return str(value)
        folder, slash, _ = value[len(self._above) :].partition("/")
        return folder if slash else self._above or "."


def _folder_of_all(job: Job) -> str:
    """Return the folder that all recordings are below, with the slash at its end."""
    least = greatest = None
    for batch in read_listing(job, ["recording"]):
        found = pc.min_max(batch.column(0)).as_py()
        least = min(found["min"], least or found["min"])
        greatest = max(found["max"], greatest or found["max"])
    both = zip(least or "", greatest or "", strict=False)
    common = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], both))
    return common[: common.rfind("/") + 1]
