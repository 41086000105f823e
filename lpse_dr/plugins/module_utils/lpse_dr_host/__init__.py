"""Verbs that act on the host they run on.

One function per verb. The same source is shipped by the ``verb`` module, streamed by the
``conductor`` over an open connection, and imported by the unit tests.
"""
