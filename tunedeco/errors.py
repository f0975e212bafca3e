"""Every error tunedeco raises on purpose.

::

    TunedecoError
    ├── HyperparameterError (ValueError)   a declaration or a value is wrong
    │   └── HyperparameterClash            one (group, name), two meanings
    ├── ConfigurationError (ValueError)    an argument of Tuner or search is wrong
    │   ├── ObjectiveError                 the objective has no direction, or no such log
    │   └── ModelFunctionError             model_fn cannot be called, or returns no model
    │       └── TranslationError (AttributeError)
    │                                      code for another library asks for what is not here
    ├── OracleError                        an oracle cannot search this space, or misbehaves
    ├── ExportError (ValueError)           an exported JSON cannot be read, or does not fit
    ├── JournalError                       the journal cannot be read or written
    │   ├── JournalDamaged                 a line fails its check; says which, and where
    │   └── JournalLocked                  another process is writing; says which
    ├── CheckpointError                    weights cannot be written or read
    ├── SearchMismatch                     the directory holds another search; shows both
    ├── SearchNotFound                     the directory holds no search
    ├── NoTrialError                       there is no finished trial to answer with
    ├── NoWeights (ValueError)         a model built only to be looked at is used
    ├── WorkerError                        worker processes cannot be started, or cannot go on
    └── TooManyFailures                    trial after trial failed; carries the last traceback

    NeedsWeights (UserWarning)             a model cannot be built without its weights
    TrainedAlone (UserWarning)             a trial cannot be trained together with others

What the user's own ``model_fn`` raises is never wrapped: when the user calls it, and when it is
traced before a search, it passes through as it is. Inside a trial it is journalled with its
traceback, and the search goes on; `TooManyFailures` shows the last one.
"""


class TunedecoError(Exception):
    """The root: ``except TunedecoError`` catches everything below."""


class HyperparameterError(TunedecoError, ValueError):
    """A hyperparameter is declared wrongly, or given a value outside its domain."""


class HyperparameterClash(HyperparameterError):
    """The same (group, name) was declared twice with different domains or defaults."""


class ConfigurationError(TunedecoError, ValueError):
    """An argument of `Tuner` or of `Tuner.search` is wrong."""


class ObjectiveError(ConfigurationError):
    """The objective's direction is unknown, or the logs do not contain it."""


class ModelFunctionError(ConfigurationError):
    """The model function cannot be called without arguments, or returns no Keras model."""


class TranslationError(ModelFunctionError, AttributeError):
    """Code written for another library asks for something that tunedeco has no counterpart of."""


class OracleError(TunedecoError):
    """An oracle cannot search this space, or answered something outside it."""


class ExportError(TunedecoError, ValueError):
    """An exported JSON file is unreadable, or does not fit the space it is applied to."""


class JournalError(TunedecoError):
    """The journal cannot be read, written or understood."""


class JournalDamaged(JournalError):
    """A line of the journal fails its check. Nothing was changed or skipped."""


class JournalLocked(JournalError):
    """Another process is writing to this journal."""


class CheckpointError(TunedecoError):
    """The weights of a trial cannot be written, or are not there to be read."""


class SearchMismatch(TunedecoError):
    """The directory holds a search with another space, objective, oracle or seed."""


class SearchNotFound(TunedecoError):
    """The directory holds no search."""


class NoTrialError(TunedecoError):
    """No trial has a score yet, so there is no best one."""


class NoWeights(TunedecoError, ValueError):
    """A model that was built only to be looked at is used as if it had weights."""


class WorkerError(TunedecoError):
    """Worker processes cannot be started or furnished, or die before they can train."""


class TooManyFailures(TunedecoError):
    """One trial after another failed or was rejected; the message shows the last one."""


class NeedsWeights(UserWarning):
    """A function cannot build its model without weights, so they are allocated to look at it."""


class TrainedAlone(UserWarning):
    """A trial of a search with ``vectorise=`` is trained alone, since there is no other way."""
