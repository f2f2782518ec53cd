"""What can go wrong through no fault of the code: said in one sentence, with what to do next."""


class BadInput(Exception):
    """A value, file or name that a person can mend; the message says what, where and what to run."""

    exit_code = 2


class GateClosed(Exception):
    """A check that was made to stop the pipeline has stopped it."""

    exit_code = 3


class Unreachable(Exception):
    """A server or store that is needed does not answer."""

    exit_code = 4
