"""Executors train what the tuner hands them, and report what happens.

``base`` is the protocol, ``keras`` trains in this process: by ``fit``, which ``watch`` observes, or
by a ``loop`` of the user's own, both noted by a ``recorder``. ``processes`` has slices trained by
workers. ``models`` makes the models, ``data`` checks what they train on, and ``devices`` is all
that is known of each backend.
"""
