"""The report of a scan as one file that needs nothing else, and cannot ask anybody for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from listen_edge.errors import ListenEdgeError, one_line
from listen_edge.printable import printable
from listen_edge.replacing import replacing
from listen_edge.runtime.archive.job import Job
from listen_edge.runtime.archive.review.report.calibration import Calibration, read_calibration
from listen_edge.runtime.archive.review.report.clock import zone_named
from listen_edge.runtime.archive.review.report.markup import Html, element, text
from listen_edge.runtime.archive.review.report.question import name_of, question
from listen_edge.runtime.archive.review.report.scanned import not_heard, places, scanned
from listen_edge.runtime.archive.review.report.seen import Seen, see

REPORT = "report.html"


def write_report(
    folder: Path, out: Path | None = None, *, timezone: str = "UTC", by: str | None = None
) -> Path:
    """Write the report of a scan's folder and return its path.

    Args:
        out: file to write; None: REPORT in the folder.
        timezone: IANA name, of all times.
        by: column of the manifest that tells places apart; None: site, device, else the folder.

    Raises:
        ListenEdgeError: no scan there, or tables, verdicts, zone or column that cannot be read; or
            the page cannot be written.
    """
    zone, job = zone_named(timezone), Job(folder)
    page = _page(see(job, zone, by), read_calibration(folder))
    path = folder / REPORT if out is None else out
    try:
        with replacing(path) as temporary:
            temporary.touch(0o600)  # it holds what was recorded
            temporary.write_text(page, encoding="utf-8")
    except OSError as err:
        raise ListenEdgeError(f"{printable(path)}: cannot be written ({one_line(err)})") from err
    return path


def _page(seen: Seen, checked: Mapping[str, Calibration]) -> str:
    name = seen.job.folder.resolve().name
    asked = [one["question"] for one in seen.job.described["questions"]]
    parts = [
        not_heard(seen),
        scanned(seen),
        *(question(seen, number, checked.get(one)) for number, one in enumerate(asked)),
        places(seen),
    ]
    header = element("header", element("h1", f"What was heard: {name}"), _links(asked))
    style = _read("page.css")
    return Template(_read("page.html")).substitute(
        policy=_policy(style),
        title=text(f"What was heard: {name}"),
        style=style,
        body=header + element("main", *parts),
    )


def _links(asked: list[str]) -> Html:
    parts = [("unheard", "What was not heard"), ("scanned", "What was scanned")]
    parts += [(name_of(number), one) for number, one in enumerate(asked)]
    parts.append(("places", "Places"))
    links = (element("li", element("a", words, href=f"#{name}")) for name, words in parts)
    return element("nav", element("ul", *links), aria_label="Parts of this page")


def _policy(style: str) -> str:
    """Return what the page may do: show itself, and play what is in it."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; media-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    page = files("listen_edge.runtime.archive.review.report") / "page"
    return (page / name).read_text(encoding="utf-8")
