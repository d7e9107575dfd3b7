"""Answers of people who listened to a call, and the groups from which calls are drawn for review."""

from enum import StrEnum


class ReviewAnswer(StrEnum):
    """The answer of a person who listened to the answered end of a call."""

    HUMAN = "human"
    VOICEMAIL = "voicemail"
    SCREENING = "screening"
    """An assistant that asks the caller who is calling."""
    OTHER = "other"
    """A fax, a tone, music, an announcement of the network, or an IVR menu."""
    CANNOT_TELL = "cannot_tell"


class Stratum(StrEnum):
    """A group of judged calls with one sampling probability. A call belongs to the first group that fits."""

    DISAGREEMENT = "disagreement"
    """Twilio's own detection has the opposite result."""
    UNDECIDED = "undecided"
    LOW_CONFIDENCE = "low_confidence"
    """The confidence is at most 0.1 above the threshold of the label."""
    REST = "rest"


class ReviewQueue(StrEnum):
    """A list of calls that wait for the answer of a person."""

    RANDOM = "random"
    DISAGREEMENT = "disagreement"
    UNDECIDED = "undecided"
    LOW_CONFIDENCE = "low_confidence"
    SECOND = "second"
    """Calls that another person has answered, to measure how well people agree."""
    RECHECK = "recheck"
    """Calls whose label is probably wrong, for a person who has not answered them."""
