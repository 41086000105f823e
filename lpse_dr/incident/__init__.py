"""Incidents: a state machine over the events of a journal, and who may do what.

Nothing is kept beside the journal: `fold` reads an incident's state from its events every time.
"""
