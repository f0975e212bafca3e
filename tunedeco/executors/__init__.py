"""Whatever runs a slice of a trial, and what it needs to know about the machine it runs on.

- `devices`: the accelerator of each Keras backend, and the precision that suits it
"""
