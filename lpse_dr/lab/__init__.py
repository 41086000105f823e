"""The lab: two sites in containers on this machine, to try, to test and to show."""
