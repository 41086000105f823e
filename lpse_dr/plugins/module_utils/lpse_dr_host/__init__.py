"""Verbs that act on the host they run on.

One function per verb. The same source is streamed by the actions ``verb`` and ``conductor``
over a connection, and imported by the unit tests.
"""
