"""What of a Keras object is worth tuning, and between which values.

Keras is known here by the names of its classes and parameters only. The present value is in every
domain, so that the code as it stands is one of the configurations.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tunedeco.domains import Choice, Domain, Logarithmic, Range, Value, plain
from tunedeco.errors import HyperparameterError

HIDDEN_ACTIVATIONS = ("relu", "gelu", "silu", "elu", "tanh")
"""What an activation may become; the others below may become one of them."""

_ACTIVATIONS = {*HIDDEN_ACTIVATIONS, "swish", "leaky_relu", "relu6", "selu", "mish", "softplus"}
_SAME = {"silu": "swish"}  # two names of one function
_LARGE = 256  # wider layers are made at most twice as wide: their cost grows with the square
_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
_SMOOTHINGS = (0.0, 0.05, 0.1, 0.2)
_MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Rule:
    """How one parameter is tuned.

    Args:
        values: the domain around a present value; None where that is not to be tuned.
        shapes: whether it decides on the shape of tensors, so that not every value may build.
        given: whether it is left alone where the code does not give it.
    """

    values: Callable[[Value], Domain | None]
    shapes: bool = False
    given: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of Keras object: the group of its hyperparameters, and the rules by parameter."""

    group: str
    rules: Mapping[str, Rule]


def width(present: Value) -> Domain | None:
    """Powers of two around a number of units or filters; a single one is a gate or a score."""
    if type(present) is not int or present < 2:  # noqa: PLR2004 (one unit is no width)
        return None
    most = present * (4 if present <= _LARGE else 2)
    return _choice(present, [2**k for k in range(1, 40) if present <= 4 * 2**k and 2**k <= most])


def kernel(present: Value) -> Domain | None:
    """Odd sizes around the present one; a kernel of one is a projection, and stays it."""
    if type(present) is not int or present < 2:  # noqa: PLR2004 (see above)
        return None
    start = max(3, present - 2 - present % 2 + 1)
    return _choice(present, range(start, max(7, present + 2) + 1, 2))


def heads(present: Value) -> Domain | None:
    """Powers of two around a number of attention heads."""
    if type(present) is not int or present < 1:
        return None
    return _choice(
        present, [2**k for k in range(10) if present <= 4 * 2**k and 2**k <= 2 * present]
    )


def repeats(present: Value) -> Domain | None:
    """From one to twice as many repeats."""
    return Range(1, 2 * present) if type(present) is int and present > 0 else None


def rate(present: Value) -> Domain | None:
    """Rates from none to a half, and somewhat more where the present one is higher."""
    if type(present) not in (int, float) or not 0 <= present < 1:  # type: ignore[operator]
        return None
    more = [r / 10 for r in range(6, 10) if r / 10 < present + 0.15]  # type: ignore[operator]
    return _choice(present, [*_RATES, *(more if present > max(_RATES) else [])])  # type: ignore[operator]


def _used_rate(present: Value) -> Domain | None:
    return rate(present) if present else None  # a rate of 0 in a large layer is a feature not used


def _scale(present: Value, factor: float = 10.0) -> Domain | None:
    """Five values on a log scale, from a tenth to tenfold, or as far as another factor says."""
    if type(present) not in (int, float) or not 0 < present < math.inf:  # type: ignore[operator]
        return None
    assert isinstance(present, (int, float))
    low, high = (float(f"{end:.6g}") for end in (present / factor, present * factor))
    try:
        domain = Logarithmic(low, high, 5)
        exact = type(present) is float and domain.canonical(present) == present
    except HyperparameterError:
        exact = False
    return domain if exact else Choice((low, present, high))


def _near(present: Value) -> Domain | None:
    return _scale(present, 4.0)


def _portion(present: Value) -> Domain | None:
    if type(present) is not float or not 0 < present <= 1:
        return None
    return _choice(present, [present / 2, present, min(1.0, present * 2)])


def _smoothing(present: Value) -> Domain | None:
    return _choice(present, _SMOOTHINGS) if type(present) is float else None


def _momentum(present: Value) -> Domain | None:
    return _choice(present, _MOMENTA) if type(present) is float else None


def activation(present: Value) -> Domain | None:
    """Hidden activations; what ends a model or opens a gate is not one of them."""
    if present not in _ACTIVATIONS:
        return None
    others = [name for name in HIDDEN_ACTIVATIONS if _SAME.get(name, name) != present]
    return Choice((present, *(name for name in others if name != present)))


def _choice(
    present: Value, values: "list[int] | list[float] | range | tuple[float, ...]"
) -> Domain:
    """Return the values and the present one, rising, each once; floats where the present is one."""
    kind = type(present)
    return Choice(tuple(sorted({present, *map(kind, values)})))  # type: ignore[type-var]


_WIDTH = Rule(width, shapes=True)
_KERNEL = Rule(kernel, shapes=True)
_HEADS = Rule(heads, shapes=True)
_USED_RATE = Rule(_used_rate)
_ACTIVATION = Rule(activation)
_STRENGTH = Rule(_scale)

_CONV = Kind("conv", {"filters": _WIDTH, "kernel_size": _KERNEL, "activation": _ACTIVATION})
_RECURRENT = Kind(
    "recurrent",
    {
        "units": _WIDTH,
        "filters": _WIDTH,
        "kernel_size": _KERNEL,
        "dropout": _USED_RATE,
        "recurrent_dropout": _USED_RATE,
    },
)
_LAYERS: tuple[tuple[str, Kind], ...] = (  # the first that matches the whole name
    (r"ConvLSTM\dD|(LSTM|GRU|SimpleRNN)(Cell)?", _RECURRENT),
    (r"(Separable|Depthwise)?Conv\dD(Transpose)?", _CONV),
    (r"Dense", Kind("dense", {"units": _WIDTH, "activation": _ACTIVATION})),
    (r"\w*Dropout(\dD)?", Kind("dropout", {"rate": Rule(rate)})),
    (r"GaussianNoise", Kind("noise", {"stddev": Rule(_near)})),
    (
        r"\w*Attention",
        Kind(
            "attention",
            {"num_heads": _HEADS, "key_dim": _WIDTH, "head_dim": _WIDTH, "dropout": _USED_RATE},
        ),
    ),
    (r"Embedding", Kind("embedding", {"output_dim": _WIDTH})),
    (r"Activation", Kind("activation", {"activation": _ACTIVATION})),
    (r"Random\w+", Kind("augmentation", {"factor": Rule(_portion)})),
    (r"ActivityRegularization", Kind("regularizer", {"l1": _STRENGTH, "l2": _STRENGTH})),
)
_FAMILIES = {
    "optimizers": Kind(
        "optimizer",
        {
            "learning_rate": _STRENGTH,
            "initial_learning_rate": _STRENGTH,  # of a schedule
            "weight_decay": _STRENGTH,
            "momentum": Rule(_momentum, given=True),
        },
    ),
    "losses": Kind("loss", {"label_smoothing": Rule(_smoothing, given=True)}),
    "regularizers": Kind("regularizer", {"l1": _STRENGTH, "l2": _STRENGTH, "factor": _STRENGTH}),
}
_NOTHING = Kind("", {})

_OWN: Mapping[str, tuple[str, Rule]] = {  # parameters of layers and models that users write
    **dict.fromkeys(
        ("units", "hidden_units", "hidden_dim", "hidden_size", "ff_dim", "mlp_dim", "width"),
        ("dense", _WIDTH),
    ),
    "filters": ("conv", _WIDTH),
    "kernel_size": ("conv", _KERNEL),
    **dict.fromkeys(("num_heads", "heads"), ("attention", _HEADS)),
    **dict.fromkeys(("key_dim", "head_dim"), ("attention", _WIDTH)),
    **dict.fromkeys(("embed_dim", "embedding_dim"), ("embedding", _WIDTH)),
    **dict.fromkeys(("rate", "dropout", "dropout_rate", "drop_rate"), ("dropout", Rule(rate))),
    "activation": ("activation", _ACTIVATION),
    **dict.fromkeys(("depth", "num_layers", "num_blocks"), ("blocks", Rule(repeats, shapes=True))),
}


def rules_for(family: str, name: str) -> Mapping[str, tuple[str, Rule]]:
    """Return the group and the rule of each tunable parameter of a class.

    Args:
        family: ``"layers"``, ``"optimizers"``, ``"losses"`` or ``"regularizers"`` for a class of
            Keras; ``"own"`` for a layer or a model that a user wrote.
        name: the name of the class.
    """
    if family == "own":
        return _OWN
    kind = _FAMILIES.get(family) or next(
        (kind for pattern, kind in _LAYERS if re.fullmatch(pattern, name)), _NOTHING
    )
    return {parameter: (kind.group, rule) for parameter, rule in kind.rules.items()}


def decides(arguments: Mapping[str, object]) -> bool:
    """Return whether something of what a class of the user's own is given is tuned."""
    return any(domain_for(rule, arguments.get(name)) for name, (_, rule) in _OWN.items())


def domain_for(rule: Rule, present: object) -> Domain | None:
    """Return the domain around what the code gives; None where that is not to be tuned."""
    try:
        value = plain(present, "an argument")
    except HyperparameterError:
        return None
    return None if value is None else rule.values(value)


def stem(name: str) -> str:
    """Return what hyperparameters of a class are called after: ``Conv2D`` gives ``conv``."""
    name = re.sub(r"\dD", "", name).replace("RMSprop", "Rmsprop")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z]\w)|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
