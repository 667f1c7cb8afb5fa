"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from listen_edge.replacing import replacing


def test_a_file_is_replaced_at_the_end_and_left_alone_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists() and temporary.suffix == ".json"
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert path.read_text() == "whole"
    assert [*tmp_path.iterdir()] == [path]
