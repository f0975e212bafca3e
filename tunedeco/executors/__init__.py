"""Executors train what the tuner hands them, and report what happens.

``base`` is the protocol, ``keras`` trains in this process, ``processes`` in workers, ``data``
checks what it trains on, and ``devices`` is all that is known of each backend.
"""
