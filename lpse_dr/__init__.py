"""The emergency SOP of an e-procurement service, made executable."""

__version__ = "0.1.0"
