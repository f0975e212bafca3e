"""A Gaussian process over points, and how much better each is expected to be.

Carl Rasmussen and Christopher Williams, "Gaussian Processes for Machine Learning", MIT Press 2006:
algorithm 2.1 for the prediction, section 5.4.1 for the likelihood and its gradient. A Matérn kernel
(5/2, equation 4.17) with a length for each dimension (section 5.1), which may be several columns of
numbers. Lengths and noise are the likeliest under log-normal priors, the lengths growing with the
root of their number (Carl Hvarfner, Erik Hellsten and Luigi Nardi, "Vanilla
Bayesian Optimization Performs Great in High Dimensions", ICML 2024). They are found by Rprop
(Martin Riedmiller and Heinrich Braun, ICNN 1993), whose steps depend on the signs of a gradient
alone, and so not on the last digits of a machine's arithmetic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunedeco.oracles.encoding import Rows

_STEPS = 40
_CLOSE = 0.05  # steps in the logarithm of a length that are not worth one more
_LENGTH_SPREAD = 1.0  # of the prior over the logarithm of a length
_NOISE = -6.0  # the middle of the prior over the logarithm of the noise's share
_NOISE_SPREAD = 2.0
_SHORTEST, _LONGEST = math.log(0.02), math.log(50.0)
_QUIETEST, _LOUDEST = math.log(1e-6), math.log(2.0)
_JITTER = 1e-8
_LEAST = 1e-12  # what is no variance at all
_ROOT5 = math.sqrt(5.0)
_erf = np.vectorize(math.erf, otypes=[float])


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is believed of a loss everywhere, after it was seen in some places."""

    prior: "_Prior"
    points: Rows
    """Where it was seen, (n, columns)."""
    inverse: Rows
    """Of the Cholesky factor of the covariances there, (n, n)."""
    weights: Rows
    """What each place adds to the mean, (n,)."""
    middle: float
    spread: float
    """Of the losses as they are believed."""

    def believed(self, points: Rows) -> tuple[Rows, Rows]:
        """Return the mean of the loss in some places, and its standard deviation."""
        near = _matern(self.prior.apart(points, self.points))
        known = near @ self.inverse.T
        left = np.maximum(1 - (known * known).sum(axis=1), _LEAST)
        return self.middle + near @ self.weights, self.spread * np.sqrt(left)

    def expecting(self, points: Rows) -> "Surrogate":
        """Return what would be believed if these places were known to be as they are believed.

        So the mean stays, and the doubt around them goes: "kriging believer" (David Ginsbourger,
        Rodolphe Le Riche and Laurent Carraro, "Kriging Is Well-Suited to Parallelize Optimization",
        2010, section 2.3).
        """
        points = np.concatenate([self.points, points])
        losses, _ = self.believed(points)
        return _conditioned(self.prior, points, losses, self.spread)


@dataclass(frozen=True, eq=False)
class _Prior:
    """What is believed before any loss."""

    scales: Rows
    """What each column is multiplied with, (columns,)."""
    noise: float
    """Its share of the variance."""

    def apart(self, some: Rows, others: Rows) -> Rows:
        """Return the squared distances between points, every dimension in its length."""
        some, others = some * self.scales, others * self.scales
        squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
        return np.asarray(np.maximum(squares, 0.0))


def fitted(points: Rows, losses: Rows, dimensions: Sequence[int]) -> Surrogate:
    """Return what to believe after some losses.

    Args:
        points: where they were seen, (n, columns), each column about as wide as the unit interval,
            or wider or narrower where it is to count for more or less.
        losses: (n,).
        dimensions: to which dimension each column belongs, from 0.
    """
    count = max(dimensions, default=-1) + 1
    apart = np.zeros((count, len(points), len(points)))
    for column, dimension in enumerate(dimensions):
        apart[dimension] += (points[:, [column]] - points[:, column]) ** 2
    target = (losses - losses.mean()) / (losses.std() or 1.0)
    middle = np.append(np.full(count, math.log(0.5 * math.sqrt(max(count, 1)))), _NOISE)
    wide = np.append(np.full(count, _LENGTH_SPREAD), _NOISE_SPREAD)
    low = np.append(np.full(count, _SHORTEST), _QUIETEST)
    high = np.append(np.full(count, _LONGEST), _LOUDEST)
    found, step, last = middle, np.full(count + 1, 0.3), np.zeros(count + 1)
    likeliest, best = -math.inf, middle
    for _ in range(_STEPS):
        try:
            likelihood, gradient = _likelihood(apart, target, found)
        except np.linalg.LinAlgError:
            break
        likelihood -= 0.5 * float((((found - middle) / wide) ** 2).sum())
        gradient = gradient - (found - middle) / wide**2
        if likelihood > likeliest:
            likeliest, best = likelihood, found
        turned = gradient * last
        step = np.minimum(step * np.where(turned > 0, 1.3, np.where(turned < 0, 0.5, 1)), 1.0)
        if step.max() < _CLOSE:
            break
        last = np.where(turned < 0, 0.0, gradient)
        found = np.clip(found + np.sign(last) * step, low, high)
    prior = _Prior(np.exp(-best[:-1])[list(dimensions)], math.exp(best[-1]))
    return _conditioned(prior, points, losses)


def improvement(believed: tuple[Rows, Rows], best: float) -> Rows:
    """Return by how much each place is expected to fall below a loss, (n,).

    Donald Jones, Matthias Schonlau and William Welch, "Efficient Global Optimization of Expensive
    Black-Box Functions", Journal of Global Optimization 13 (1998), equation 15.

    Args:
        believed: the means of the places and their standard deviations, (n,) each.
        best: the loss.
    """
    mean, spread = believed
    z = (best - mean) / spread
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    found: Rows = spread * (z * 0.5 * (1 + _erf(z / math.sqrt(2))) + density)
    return found


def _conditioned(
    prior: _Prior, points: Rows, losses: Rows, spread: float | None = None
) -> Surrogate:
    """Return what to believe after some losses, given how far each reaches."""
    middle, scale = float(losses.mean()), float(losses.std()) or 1.0
    target = (losses - middle) / scale
    covariance = _matern(prior.apart(points, points)) + _noise(prior.noise, len(points))
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    weights = inverse.T @ (inverse @ target)
    if spread is None:
        spread = scale * math.sqrt(max(float(target @ weights) / len(points), _LEAST))
    return Surrogate(prior, points, inverse, scale * weights, middle, spread)


def _likelihood(apart: Rows, target: Rows, logarithms: Rows) -> tuple[float, Rows]:
    """Return how likely losses are, with the likeliest variance, and the gradient of that."""
    count = len(target)
    shrunk = np.exp(-2 * logarithms[:-1])
    noise = math.exp(logarithms[-1])
    squares = np.tensordot(shrunk, apart, 1)
    root = _ROOT5 * np.sqrt(squares)
    decay = np.exp(-root)
    kernel = (1 + root + 5 / 3 * squares) * decay
    factor = np.linalg.cholesky(kernel + _noise(noise, count))
    half = np.linalg.inv(factor)
    inverse = half.T @ half
    weights = inverse @ target
    variance = max(float(target @ weights) / count, _LEAST)
    likelihood = -0.5 * count * math.log(variance) - float(np.log(np.diag(factor)).sum())
    change = 0.5 * (np.outer(weights, weights) / variance - inverse)
    slopes = np.tensordot(apart, change * (5 / 3 * (1 + root) * decay), 2) * shrunk
    return likelihood, np.append(slopes, np.trace(change) * noise)


def _matern(squares: Rows) -> Rows:
    root = _ROOT5 * np.sqrt(squares)
    found: Rows = (1 + root + 5 / 3 * squares) * np.exp(-root)
    return found


def _noise(noise: float, count: int) -> Rows:
    return (noise + _JITTER) * np.eye(count)
