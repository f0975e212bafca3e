"""Counter-based randomness: every draw is keyed by what it is for, so nothing is ever stored.

A generator that lives from one proposal to the next would have to survive a crash. Here each
purpose has a stream of its own, derived by SHA-256 from (seed, trial number, purpose): asked again
after a restart, in whatever order, it gives the same numbers.
"""

import hashlib
import random


def digest(seed: int, number: int, purpose: str) -> int:
    """Return 256 bits that depend on the three arguments and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}/{purpose}".encode()).digest(), "big")


def stream(seed: int, number: int, purpose: str) -> random.Random:
    """Return a fresh generator for one purpose of one trial.

    Args:
        seed: the seed of the search.
        number: the trial's number.
        purpose: what the numbers are for, such as ``"random"`` or ``"mutation"``.
    """
    return random.Random(digest(seed, number, purpose))  # noqa: S311 (no secrets here)


def training_seed(seed: int, number: int, execution: int, purpose: str) -> int:
    """Return the 32-bit seed of something in one training of a trial.

    Args:
        seed: the seed of the search.
        number: the trial's number.
        execution: which training of it.
        purpose: ``"weights"``, ``"epoch 3"`` for all that is random in one epoch, and so on.
    """
    return digest(seed, number, f"execution {execution} {purpose}") % 2**32


def permuted(index: int, size: int, seed: int) -> int:
    """Return where a keyed permutation of ``range(size)`` sends an index, without listing it.

    A four-round Feistel network over the smallest even number of bits that holds ``size``; an
    image outside is walked on until it falls inside (Black and Rogaway, "Ciphers with Arbitrary
    Finite Domains", CT-RSA 2002, section 4). Cost and memory do not depend on ``size``.

    Args:
        index: from 0 to ``size - 1``.
        size: how many items there are, at least 1.
        seed: selects the permutation.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    width = (half + 7) // 8
    while True:
        left, right = index >> half, index & mask
        for turn in range(4):
            text = f"{seed:x}/{size:x}/{turn}/{right:x}"
            noise = hashlib.shake_256(text.encode()).digest(width)
            left, right = right, left ^ (int.from_bytes(noise, "big") & mask)
        index = left << half | right
        if index < size:
            return index
