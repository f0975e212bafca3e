"""Executors train what the tuner hands them, and report what happens.

``base`` is the protocol, ``keras`` trains in this process, ``data`` checks what it trains on, and
``devices`` is all that is known of each backend.
"""
