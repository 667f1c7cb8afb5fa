"""After a loss the same device or none: what tells two microphones of one make apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from listen_edge.errors import AudioError
from listen_edge.runtime.sources.devices import Device, Opened, choose_device, opened
from listen_edge.runtime.sources.identity import card_identity

PNP = "USB PnP Sound Device: Audio"
TWIN = "Microphone (HD Audio)"


def _device(index: int, name: str, identity: str | None = None, **fields: Any) -> Device:
    return {"index": index, "name": name, "identity": identity, "is_default": False, **fields}


def _pnp(index: int, card: int, socket: str) -> Device:
    return _device(index, f"{PNP} (hw:{card},0)", f"usb {socket}:1.0,0")


BUILT_IN = _device(0, "HDA Intel: ALC257 (hw:0,0)", "card PCH,0")
OURS, OTHER_ROOM = _pnp(1, 1, "1-1"), _pnp(2, 2, "1-2")
WITH_TWIN = [BUILT_IN, OURS, OTHER_ROOM]


@pytest.mark.parametrize(
    ("now", "index"),
    [
        (WITH_TWIN, 1),
        ([BUILT_IN, OTHER_ROOM], None),
        ([BUILT_IN, _pnp(1, 2, "1-2")], None),
        ([BUILT_IN, _pnp(1, 1, "1-2")], None),
        ([BUILT_IN, _pnp(1, 1, "1-2"), _pnp(2, 2, "1-1")], 2),
        ([_pnp(0, 0, "1-2"), _pnp(1, 3, "1-1"), BUILT_IN], 1),
        ([BUILT_IN, OTHER_ROOM, _pnp(3, 3, "1-4")], 3),
        ([BUILT_IN, OTHER_ROOM, _pnp(3, 3, "1-4"), _pnp(4, 4, "1-5")], None),
        ([BUILT_IN, OTHER_ROOM, _pnp(3, 3, "1-4"), _pnp(4, 4, "1-1")], 4),
        ([BUILT_IN, _device(1, f"{PNP} (hw:1,0)")], None),
        ([BUILT_IN], None),
        ([], None),
    ],
    ids=[
        "all-there", "twin-alone", "twin-moved-up", "twin-took-the-card", "cards-swapped",
        "all-renumbered", "another-socket", "two-new", "new-and-the-same", "identity-not-told",
        "none-alike", "none-at-all",
    ],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [None, "1", "usb", "hw:1,0"], ids=str)
def test_a_lost_card_is_itself_or_one_that_was_not_there(
    now: list[Device], index: int | None, wanted: str | None
) -> None:
    known = opened(OURS, WITH_TWIN)
    if index is None:
        with pytest.raises(
            AudioError, match=r"^USB PnP Sound Device: Audio \(hw:1,0\) is not there"
        ):
            choose_device(now, wanted, known)
    else:
        assert choose_device(now, wanted, known)["index"] == index


@pytest.mark.parametrize(
    ("known", "now", "index"),
    [
        (Opened("pulse", None, 5), [_device(2, "pulse"), BUILT_IN], 2),
        (Opened("pulse", None, 5), [_device(2, "pulse monitor")], None),
        (Opened(TWIN, None, 1, (TWIN,)), [_device(0, TWIN), _device(1, TWIN)], 1),
        (Opened(TWIN, None, None, (TWIN,)), [_device(0, TWIN), _device(1, TWIN)], None),
        (Opened(TWIN, None, 0, (TWIN,)), [_device(0, TWIN)], None),
        (Opened(TWIN, None, 1, (TWIN,)), [_device(k, TWIN) for k in range(3)], None),
        (f"{PNP} (hw:1,0)", [OTHER_ROOM], None),
        (f"{PNP} (hw:1,0)", [OTHER_ROOM, OURS], 1),
        (TWIN, [_device(0, TWIN), _device(1, TWIN)], None),
    ],
    ids=[
        "by-name", "part-of-a-name", "twins-as-opened", "twins-after-a-change", "twin-alone",
        "a-third-twin", "bare-name-other-card", "bare-name", "bare-name-of-twins",
    ],
)  # fmt: skip
def test_without_an_identity_the_name_must_be_its_alone(
    known: Opened | str, now: list[Device], index: int | None
) -> None:
    if index is None:
        with pytest.raises(AudioError, match="is not there"):
            choose_device(now, "1", known)
    else:
        assert choose_device(now, "1", known)["index"] == index


def test_what_is_kept_of_a_device_are_its_marks_and_those_beside_it() -> None:
    sound_server = _device(3, "pulse")
    assert opened(OURS, [*WITH_TWIN, sound_server]) == Opened(
        OURS["name"], "usb 1-1:1.0,0", 1, ("card PCH,0", "usb 1-2:1.0,0", "pulse")
    )


def test_a_usb_card_is_its_socket_and_a_built_in_one_its_id(tmp_path: Path) -> None:
    sound = tmp_path / "sys/class/sound"
    for card, device, id_ in (
        (0, "pci0000:00/0000:00:1f.3", "PCH"),
        (1, "pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0", "Device"),
        (12, "pci0000:00/0000:00:14.0/usb1/1-3/1-3:2.0", "Device_1"),
    ):
        (tmp_path / "sys/devices" / device).mkdir(parents=True)
        (sound / f"card{card}").mkdir(parents=True)
        (sound / f"card{card}/id").write_text(f"{id_}\n")
        (sound / f"card{card}/device").symlink_to(tmp_path / "sys/devices" / device)
    (tmp_path / "proc/asound/card5").mkdir(parents=True)
    (tmp_path / "proc/asound/card5/id").write_text("rockchip\n")
    names = {
        "HDA Intel PCH: ALC257 Analog (hw:0,0)": "card PCH,0",
        f"{PNP} (hw:1,0)": "usb 1-1.2:1.0,0",
        f"{PNP} (hw:1,1)": "usb 1-1.2:1.0,1",
        f"{PNP} (hw:12,0)": "usb 1-3:2.0,0",
        "board: codec (hw:5,2)": "card rockchip,2",
        f"{PNP} (hw:7,0)": None,
        "pulse": None,
        "(hw:1,0) of another": None,
    }
    assert {name: card_identity(name, tmp_path) for name in names} == names
