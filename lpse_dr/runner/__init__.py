"""Runs: one execution of an operation each, detached from the terminal that asked for it.

The only package that imports ansible_runner, and only in `execute`. A run is a folder; whoever wants
to know about it reads the folder. `launch` starts one, `folder` reads one, ``python -m
lpse_dr.runner RUNDIR`` is the process in between.
"""
