"""Which precision suits which device, and whose dtype policy is in force when."""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tunedeco.errors import ConfigurationError
from tunedeco.executors import devices
from tunedeco.executors.devices import (
    Accelerator,
    accelerator,
    memory,
    precision,
    resolve_memory,
    resolve_precision,
)

pytestmark = pytest.mark.keras

GPUS = [("Old", (7, 5)), ("New", (9, 0))]
GIB = 2**30
MEMORY = {"Old": 16 * GIB, "New": 80 * GIB, "AMD": 64 * GIB}


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    """Begin and end each test with Keras's own policy."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def policy() -> str:
    """Return the name of the policy in force."""
    name: str = keras.config.dtype_policy().name
    return name


def tensorflow(gpus: list[tuple[str, Any]]) -> SimpleNamespace:
    """Return a TensorFlow that sees these GPUs."""

    def details(index: int) -> dict[str, Any]:
        name, capability = gpus[index]
        return {"device_name": name} | ({"compute_capability": capability} if capability else {})

    found = range(len(gpus))
    return SimpleNamespace(
        config=SimpleNamespace(
            get_visible_devices=lambda kind: found if kind == "GPU" else [],
            list_physical_devices=lambda kind: found,
            get_logical_device_configuration=lambda gpu: None,
            experimental=SimpleNamespace(get_device_details=details),
        )
    )


def jax(gpus: list[tuple[str, Any]]) -> SimpleNamespace:
    """Return a JAX that sees these GPUs, and a CPU."""
    found = [SimpleNamespace(platform="cpu", device_kind="cpu")]
    for name, capability in gpus:
        text = "{}.{}".format(*capability) if capability else "gfx90a"
        stats = {"bytes_limit": MEMORY[name]}
        found += [
            SimpleNamespace(
                platform="gpu",
                device_kind=name,
                compute_capability=text,
                memory_stats=lambda stats=stats: stats,
            )
        ]
    return SimpleNamespace(local_devices=lambda: found)


def torch(gpus: list[tuple[str, Any]]) -> SimpleNamespace:
    """Return a PyTorch that sees these GPUs."""
    return SimpleNamespace(
        version=SimpleNamespace(cuda="12.8" if gpus and gpus[0][1] else None),
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus) or 1,  # as with a GPU without its driver
            get_device_name=lambda index: gpus[index][0],
            get_device_capability=lambda index: gpus[index][1] or (9, 0),
            get_device_properties=lambda index: SimpleNamespace(
                total_memory=MEMORY[gpus[index][0]]
            ),
        ),
    )


@pytest.mark.parametrize("fake", [tensorflow, jax, torch], ids=lambda fake: fake.__name__)
@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([], None),
        ([("New", (9, 0))], Accelerator("New", (9, 0))),
        (GPUS, Accelerator("Old", (7, 5))),
        (GPUS[::-1], Accelerator("Old", (7, 5))),
        ([("AMD", None)], Accelerator("AMD", None)),
    ],
)
def test_accelerator_of_each_backend(
    monkeypatch: pytest.MonkeyPatch,
    fake: Callable[[list[Any]], SimpleNamespace],
    gpus: list[Any],
    expected: Accelerator | None,
) -> None:
    """It asks the backend in use, takes the least capable GPU, and None is no GPU."""
    monkeypatch.setattr(keras.backend, "backend", lambda: fake.__name__)
    monkeypatch.setitem(sys.modules, fake.__name__, fake(gpus))
    monkeypatch.setattr(devices, "_cuda_memory", lambda index: MEMORY[gpus[index][0]])
    found = accelerator()
    assert (found and replace(found, memory=None)) == expected
    if gpus:
        known = fake is not tensorflow or gpus[0][0] != "AMD"  # who tells nobody how much it has
        assert memory() == (min(MEMORY[name] for name, _ in gpus) if known else None)


def test_accelerator_of_another_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend we know nothing of has no GPU for us."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    assert accelerator() is None


def test_a_part_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a program lets TensorFlow have a part of a GPU, that part is the memory."""
    module = tensorflow([("New", (9, 0))])
    limits = [SimpleNamespace(memory_limit=1024), SimpleNamespace(memory_limit=2048)]
    module.config.get_logical_device_configuration = lambda gpu: limits
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", module)
    assert memory() == 3 * GIB


def test_memory_of_this_machine() -> None:
    """There is some, and text for an amount is that amount."""
    assert memory() > 10**8
    assert resolve_memory("auto") == memory()
    assert resolve_memory("2GiB") == 2 * GIB
    assert resolve_memory(5) == 5
    assert resolve_memory(None) is None


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "7"}, [7]),
        ("0::/\n", {"memory.max": "max"}, []),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "9", "memory.max": "8"}, [9, 8]),
        ("3:cpu:/a\n2:memory:/a\n0::/\n", {"memory/memory.limit_in_bytes": "5"}, [5]),
        ("2:memory:/a\n", {"memory/a/memory.limit_in_bytes": "6"}, [6]),
        (None, {}, []),
    ],
)
def test_control_groups(
    tmp_path: Path, groups: str | None, limits: dict[str, str], expected: list[int]
) -> None:
    """Every limit counts that is set on the groups of this process, and those above them."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    if groups is not None:
        files["proc/self/cgroup"] = groups
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert list(devices._control_groups(tmp_path)) == expected


def test_accelerator_of_this_machine() -> None:
    """The backend that is installed can be asked."""
    found = accelerator()
    assert found is None or found.name


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        (None, "float32"),
        (Accelerator("AMD", None), "float32"),
        (Accelerator("P100", (6, 0)), "float32"),
        (Accelerator("V100", (7, 0)), "mixed_float16"),
        (Accelerator("T4", (7, 5)), "mixed_float16"),
        (Accelerator("A100", (8, 0)), "mixed_bfloat16"),
        (Accelerator("H100", (9, 0)), "mixed_bfloat16"),
        (Accelerator("B200", (10, 0)), "mixed_bfloat16"),
    ],
)
def test_auto_suits_the_device(
    monkeypatch: pytest.MonkeyPatch, gpu: Accelerator | None, expected: str
) -> None:
    """The precision follows from the compute capability."""
    monkeypatch.setattr(devices, "accelerator", lambda: gpu)
    assert resolve_precision("auto") == expected


def test_auto_respects_the_users_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A global policy that the user has set is the user's wish, on any device."""
    monkeypatch.setattr(devices, "accelerator", lambda: Accelerator("H100", (9, 0)))
    for users in ("mixed_float16", "float64", "bfloat16"):
        keras.config.set_dtype_policy(users)
        assert resolve_precision("auto") == users


def test_what_is_asked_for_by_name_is_taken() -> None:
    """An explicit precision beats the device and the global policy."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        assert resolve_precision(name) == name


@pytest.mark.parametrize("wrong", ["float16", "fp16", "", None])
def test_an_unknown_precision_is_refused(wrong: object) -> None:
    """The error names what was asked for and all there is to ask for."""
    with pytest.raises(ConfigurationError) as caught:
        resolve_precision(wrong)  # type: ignore[arg-type]
    for name in (repr(wrong), "'auto'", "'float32'", "'mixed_bfloat16'", "'mixed_float16'"):
        assert name in str(caught.value)


def test_mixed_precision_inside_and_float32_outside() -> None:
    """Models built inside compute in float16, keep float32 variables and scale their loss."""

    def model() -> keras.Model:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.compile(optimizer="sgd", loss="mse")
        return model

    with precision("mixed_float16"):
        mixed = model()
    plain = model()
    assert mixed.layers[0].compute_dtype == "float16"
    assert {variable.dtype for variable in mixed.variables} == {"float32"}
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
    assert plain.layers[0].compute_dtype == "float32"
    assert not isinstance(plain.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("users", ["float32", "mixed_bfloat16", "float64"])
def test_the_users_policy_comes_back(users: str) -> None:
    """After the block, and when an exception passes through it."""
    keras.config.set_dtype_policy(users)
    with precision("mixed_float16"):
        assert policy() == "mixed_float16"
    assert policy() == users
    with pytest.raises(ZeroDivisionError), precision("mixed_float16"):
        raise ZeroDivisionError
    assert policy() == users


def test_the_users_policy_comes_back_after_clear_session() -> None:
    """`clear_session` drops the policy in force; the user's own comes back all the same."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    with precision("mixed_float16"):
        keras.utils.clear_session()
        assert policy() == "float32"  # Keras's doing, and why to clear before entering
        with precision("mixed_float16"):
            keras.utils.clear_session()
    assert policy() == "mixed_bfloat16"


def test_the_users_policy_is_the_same_object() -> None:
    """A policy that is more than its name is neither replaced nor lost."""
    users = keras.DTypePolicy("mixed_bfloat16")
    keras.config.set_dtype_policy(users)
    with precision(resolve_precision("auto")):
        assert keras.config.dtype_policy() is users
    assert keras.config.dtype_policy() is users


@pytest.mark.once
def test_no_graph_outlives_its_model() -> None:
    """Once programs are forgotten, no training step of a model that is gone is in memory."""

    def steps() -> int:
        keras.utils.clear_session()
        devices.forget_programs()
        gc.collect()
        kinds = [type(o).__name__ for o in gc.get_objects()]
        return kinds.count("FuncGraph")

    def train() -> None:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)

    train()  # what is made once for all models is made here
    before = steps()
    train()
    assert steps() == before
