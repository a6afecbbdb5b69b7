"""In: nothing. Out: the inbox's screens, registered: the pushes, the quarantine, how it all is."""

from callbacks.admin import receipts

__all__ = ["receipts"]
