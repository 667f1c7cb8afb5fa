"""Every failure a user can cause or mend, as one sentence.

ListenEdgeError
├── AudioError          a recording or stream that cannot be listened to
├── QuestionError       a question that cannot be asked
├── BundleError         a bundle, model or checkpoint that is damaged, foreign or incomplete
├── ParityError         an export whose answers differ from its source's
├── BackendError        a compute backend that was asked for and is not available
├── BenchmarkError      a benchmark's questions, recordings or answers (evaluation/questions.py)
├── EndpointError       a chat server that cannot be used (chat.py)
└── MissingExtraError   a package of an optional extra is not installed

The command line prints the message as one line on stderr and exits with 1.
"""

from importlib.util import find_spec

from listen_edge.printable import escaped


class ListenEdgeError(Exception):
    """Base of all errors that are shown to the user without a traceback."""


class AudioError(ListenEdgeError):
    """The recording is missing, empty, truncated, too short or not finite."""


class QuestionError(ListenEdgeError):
    """The question is empty, too long or names no sound."""


class BundleError(ListenEdgeError):
    """The bundle or a model file is missing, altered, foreign or of an unknown schema."""


class ParityError(ListenEdgeError):
    """The exported model's answers differ from the trained model's by more than the gate."""


class BackendError(ListenEdgeError):
    """The compute backend asked for is not available on this machine."""


class MissingExtraError(ListenEdgeError):
    """A package of an optional extra is missing; None: of the base, which is not whole."""

    def __init__(self, package: str, extra: str | None) -> None:
        ours = "--force-reinstall listen-edge" if extra is None else f"'listen-edge[{extra}]'"
        super().__init__(f"{package} is not installed; run: pip install {ours}")


def require(package: str, extra: str) -> None:
    """Raise MissingExtraError unless a package of an optional extra is installed."""
    if find_spec(package) is None:
        raise MissingExtraError(package, extra)


def one_line(message: Exception | str, n_characters: int | None = 200) -> str:
    """Return another library's message, which may hold anything, as one line of bounded length."""
    return escaped(" ".join(str(message).split()))[:n_characters]
