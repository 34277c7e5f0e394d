"""What goes wrong at the edge, in one line each."""


class EdgeError(Exception):
    """Something given to the edge is wrong; the message is one line and says how to fix it."""


class MessageError(EdgeError):
    """Bytes that are no message of this model."""


class ServiceError(EdgeError):
    """The service refused, or could not be reached after every retry."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of the answer; None where there was none."""
