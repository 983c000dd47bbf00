"""The error tree of the judge.

Guarantee: whatever a user or the judged service can cause ends in one of these, with a sentence for the reader.
"""


class JudgeError(Exception):
    """The judge cannot work; the message is one sentence for the person who started it. Exit code 2."""


class ConfigError(JudgeError):
    """judge.toml says something that it may not say; the message names the line and what is allowed."""


class ServiceError(JudgeError):
    """The service cannot be reached or started."""


class ProbeError(JudgeError):
    """What really happened cannot be read."""


class Broken(Exception):
    """A promise was broken. `cause` is the usual cause of what was seen."""

    def __init__(self, sentence: str, cause: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.cause = cause


class Untold(Exception):
    """A case cannot tell: the fault did not strike, or the service answered nothing but errors."""
