"""Faults at any moment: random, reproducible schedules against a real lab. Started by script/chaos."""
