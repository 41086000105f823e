"""One file per noun: HELP, VERBS. Importing one is cheap; what a verb needs it imports when it runs."""
