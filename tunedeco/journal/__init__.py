"""The journal remembers: append-only events in a TinyDB file, and the state that is their fold.

``storage`` is the file, ``journal`` the events in it, ``search_state`` the fold.
"""
