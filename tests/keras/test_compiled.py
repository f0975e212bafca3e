"""What JAX has compiled is kept while a search goes on, and not longer."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX keeps programs"),
]

PROGRAM = """
import json, sys
import jax, keras, numpy as np
from tunedeco import Choice, Tuner

class Interrupted(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if len(sys.argv) > 1 and epoch == 1:
            sys.exit(3)

def model_fn():
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(Choice("rate", [0.1, 0.01])), "mse")
    return model

found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name.split("/")[-1]))
x = np.random.RandomState(0).normal(size=(64, 5)).astype("float32")
tuner = Tuner(model_fn, "loss", max_trials=2, max_epochs=3, oracle="grid", directory="run")
tuner.search(x, x[:, :1], verbose=0, callbacks=[Interrupted()])
print(json.dumps([[[e.logs for e in t.epochs] for t in tuner.trials], found.count("cache_hits")]))
assert jax.config.jax_compilation_cache_dir is None
"""


def test_programs_are_kept_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that goes on loads what it had compiled, damaged files too; the end removes all."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        command = [sys.executable, "-c", PROGRAM, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)

    assert run("parted", "interrupted").returncode == 3
    kept = [path for path in (tmp_path / "parted/run/programs").rglob("*") if path.is_file()]
    assert len(kept) > 1
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    parted, whole = run("parted"), run("whole")
    (numbers, hits), (other, none) = (json.loads(done.stdout) for done in (parted, whole))
    assert numbers == other
    assert hits > none
    assert not (tmp_path / "parted/run/programs").exists()
