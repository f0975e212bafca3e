"""What a type checker must know of the public functions; `test_typing` has mypy read this."""

from typing import assert_type

from tunedeco import Boolean, Choice, Fixed, Float, Linear, Logarithmic, Range, space, tunable
from tunedeco.domains import Value

assert_type(Choice("x", [1, 2]), int)
assert_type(Choice("x", ["relu", "gelu"]), str)
assert_type(Choice("x", (0.1, 0.2), default=0.1), float)
assert_type(Choice("x", [True, False]), bool)
assert_type(Choice("x", ["relu", None]), str | None)
assert_type(Choice("x", ["relu"], default=None), str | None)
mixed: Value = Choice("x", [1, "auto"])
assert_type(Range("x", 1, 3), int)
assert_type(Linear("x", 0, 1, 5), float)
assert_type(Logarithmic("x", 1e-4, 1, 5, group="a"), float)
assert_type(Float("x", 0, 1, log=False, default=0.5), float)
assert_type(Boolean("x", default=True), bool)
assert_type(Fixed("x", "adam"), str)
assert_type(Fixed("x", 3), int)


@tunable
def plain(units: int = 1) -> list[str]:
    return ["x"] * units


@tunable()
def called() -> int:
    return 3


@tunable(units=space.Range(8, 64, 8, log=True, group="dense", default=16))
def declared(units: int) -> str:
    return str(units)


@tunable
def with_arguments() -> tuple[bytes, dict[str, int]]:
    return b"", {"epochs": 3}


class HyperModel:
    def build(self, hp: object) -> bytes:
        return repr(hp).encode()


assert_type(declared(), str)
assert_type(declared.build({"units": 8}), str)
assert_type(tunable(plain.function, units=space.Fixed(3))(), list[str])
assert_type(tunable(HyperModel).build({}), bytes)
assert_type(tunable(HyperModel())(), bytes)
assert_type(plain(units=2), list[str])
assert_type(plain.build({"x": 1}), list[str])
assert_type(called(), int)
assert_type(with_arguments.build({}), bytes)
assert_type(with_arguments.apply({}), tuple[bytes, dict[str, int]])
assert_type(called.space.size, int | None)

# each of these is an error, and mypy complains of an ignored line that has none
Choice("x", [(1, 2), (3, 4)])  # type: ignore[type-var]
Range("x", 0.5, 2)  # type: ignore[arg-type]
Range("x", 1, 5, default="1")  # type: ignore[arg-type]
Boolean("x", default="yes")  # type: ignore[arg-type]
Choice("x", [1, 2], "group")  # type: ignore[call-overload]
plain("3")  # type: ignore[arg-type]
tunable(units=3)  # type: ignore[call-overload]
space.Range(0.5, 2)  # type: ignore[arg-type]
plain.build(3)  # type: ignore[arg-type]
