"""The two ways in which data can fail: it is wrong, or it is nowhere to be had."""


class DataError(ValueError):
    """A file's content is wrong; the message is one line that names the file and what is wrong."""


class DataUnavailableError(OSError):
    """A data set is neither on disk nor to be had; one line says what each mirror answered."""
