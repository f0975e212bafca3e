"""How workers share cores and GPUs."""

import pytest

from tunedeco.errors import ConfigurationError
from tunedeco.executors import sharing

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-aaaa-2)
"""


@pytest.mark.parametrize(
    ("gpus", "workers", "each", "expected"),
    [
        ("", 2, None, [None, None]),
        ("abcd", 2, None, ["a,b", "c,d"]),
        ("abcde", 2, None, ["a,b", "c,d"]),
        ("ab", 3, None, ["a", "b", "a"]),
        ("ab", 2, 1, ["a", "b"]),
        ("abcd", 2, 2.0, ["a,b", "c,d"]),
        ("ab", 4, 0.5, ["a", "b", "a", "b"]),
        ("a", 10, 0.1, ["a"] * 10),
        ("ab", 2, 0.5, ["a", "b"]),
        ("ab", 3, 0, ["-1"] * 3),
    ],
)
def test_gpus_are_dealt(gpus: str, workers: int, each: float | None, expected: object) -> None:
    """Each worker gets its GPUs, shared as evenly as there are."""
    assert sharing.dealt(gpus, workers, each) == expected


@pytest.mark.parametrize(
    ("gpus", "workers", "each", "message"),
    [
        ("", 1, 1, "workers=1 with gpus_per_trial=1 need 1 GPUs, and none can be seen here"),
        ("ab", 3, 1, "need 3 GPUs, and 2 of them can be seen"),
        ("a", 3, 0.5, "workers=3 with gpus_per_trial=0.5 need 2 GPUs, and 1 of them"),
        ("a", 2, 0.6, "need 2 GPUs"),
        ("abc", 1, 1.5, "must be a whole number, a fraction"),
        ("abc", 1, -1, "must be a whole number, a fraction"),
        ("abc", 1, float("inf"), "must be a whole number, a fraction"),
        ("abc", 1, float("nan"), "must be a whole number, a fraction"),
        ("abc", 1, True, "must be a whole number, a fraction"),
        ("abc", 1, "1", "must be a whole number, a fraction"),
    ],
)
def test_too_many_gpus(gpus: str, workers: int, each: float, message: str) -> None:
    """Asking for more GPUs than there are, or for what is no number of them, is an error."""
    with pytest.raises(ConfigurationError, match=message):
        sharing.dealt(gpus, workers, each)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("", ()), ("-1", ()), ("0", ("0",)), ("2, 0", ("2", "0")), ("0,-1,1", ("0",))],
)
def test_the_variable_is_read_as_cuda_reads_it(visible: str, expected: object) -> None:
    """Only the GPUs that CUDA_VISIBLE_DEVICES names are dealt, up to the first that is none."""
    assert sharing.visible_gpus({"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_the_drivers_list() -> None:
    """Of the driver's list the cards are taken, and of a partitioned card its partitions."""
    assert sharing.listed_gpus(LISTED) == ("GPU-5c89852c", "MIG-aaaa-1", "MIG-aaaa-2")
    assert sharing.listed_gpus("No devices were found\n") == ()


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker has its share of the cores, one at least, but where the user has said more."""
    assert set(sharing.threads(2, 8).values()) == {"4"}
    assert set(sharing.threads(5, 2).values()) == {"1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")
    monkeypatch.setenv("OMP_NUM_THREADS", "11")
    found = sharing.environments(2, 1)
    assert [e["CUDA_VISIBLE_DEVICES"] for e in found] == ["7", "8"]
    assert {e["OMP_NUM_THREADS"] for e in found} == {"11"}
    assert {e["TF_FORCE_GPU_ALLOW_GROWTH"] for e in found} == {"true"}
