"""What is raised while a trial is trained: whom it concerns, and how the journal keeps it."""

import errno
import traceback

from tunedeco.errors import CheckpointError, ConfigurationError, JournalError
from tunedeco.events import Ended
from tunedeco.executors.base import Interrupted
from tunedeco.executors.recorder import TooLarge
from tunedeco.trial import State, Trial


def failure(error: Exception, run: Trial) -> Ended:
    """Return the end of a trial in which something was raised.

    Raises:
        TunedecoError: it concerns the search, and would be the same in every trial.
        Interrupted: it is this.
    """
    if isinstance(error, (ConfigurationError, JournalError, CheckpointError, Interrupted)):
        raise error
    if isinstance(error, TooLarge):
        return Ended(run.number, State.REJECTED, {"message": str(error)}, run.execution)
    if _of_the_disk(error):
        msg = (
            f"a callback cannot write ({error}); nothing is lost: make room and run the search "
            "again"
        )
        raise CheckpointError(msg) from error
    # whatever user code raises fails its trial
    return Ended(run.number, State.FAILED, describe(error), run.execution)


def _of_the_disk(error: BaseException) -> bool:
    """Return whether an error is of the disk: it would be the same in every trial."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
    # HDF5, which Keras writes weights with, says the number in its text only
    named = any(f"errno = {number}," in str(error) for number in full)
    return isinstance(error, OSError) and (error.errno in full or named)


def describe(error: BaseException) -> dict[str, str]:
    """Return an exception as the journal keeps it."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
