"""``python -m lpse_dr`` is the command."""

from .cli.main import entry

if __name__ == "__main__":
    entry()
