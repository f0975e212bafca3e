"""Discovery: hyperparameters of code that nobody edited.

`suggest` runs a model function and proposes a space for what it constructs; `discovering` makes the
function ask for it. Importing this package does not load Keras; calling what it gives does.

**Names.** Every constructor call of the user's own code has a name: its kind and a number, in the
order of construction: ``dense_1``, ``conv_2``, ``lstm_1``, ``adam_1``. A hyperparameter is one of
its arguments: ``dense_1.units``, ``adam_1.learning_rate``. Numbers count all calls, tuned or not,
so that a rule that changes moves no name. Calls from one place in the code with the same arguments
are one: a loop that adds ``Dense(64)`` three times, or a helper that is called three times, has one
``dense_1.units``; a loop over 32, 64 and 128 filters has three. Users read their own code that way,
and a space stays as small as the code. Groups are kinds: ``conv``, ``dense``, ``dropout``,
``noise``, ``recurrent``, ``attention``, ``embedding``, ``activation``, ``augmentation``,
``regularizer``, ``optimizer``, ``loss`` and ``blocks``.

**What is the user's.** What Keras and installed packages construct for themselves is theirs: of a
`keras.applications` backbone nothing is touched, and of the head on top everything is. A layer
or model that the user wrote, and whose constructor takes ``units``, ``dropout`` or the like, is
tuned by these arguments, so that what it saves of itself is true; else the layers in it are. Seen
is what is constructed while the function runs: not what a model makes later, in its ``build``.

**What is left alone.** The layers that make the outputs; what is not given and has no value, such
as ``activation=None``; shapes of inputs and sizes of vocabularies; and, found by trying, all that
does not build or follows from something else. See `proposing`.

**Repeats.** ``block_1.repeats`` is how often a block of layers stands in a row. Repetitions too
many are constructed and not added; those that lack are clones of the last. See `blocks`.

With every default the model is exactly the one of the untouched function, for no argument is
touched whose value is what the code gives.
"""

from tunedeco.discovery.applying import discovering
from tunedeco.discovery.plan import Declared
from tunedeco.discovery.suggesting import Suggestion, suggest

__all__ = ["Declared", "Suggestion", "discovering", "suggest"]
