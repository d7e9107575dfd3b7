"""People and programs that use the service, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AccessScope(StrEnum):
    """One kind of access. An API key has some scopes; a person has the scopes of the role."""

    PREDICT = "predict"
    """Classify audio."""
    READ = "read"
    """Read calls, verdicts and metrics."""
    CALL = "call"
    """Place calls."""
    REVIEW = "review"
    """Answer reviews, and judge a call again."""
    ADMIN = "admin"
    """Manage people and API keys."""


class Role(StrEnum):
    """Role of a person, which determines the permissions."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"


ALL_SCOPES = frozenset(AccessScope)

SCOPES_OF_ROLE: Mapping[Role, frozenset[AccessScope]] = {
    Role.VIEWER: frozenset({AccessScope.READ}),
    Role.REVIEWER: frozenset({AccessScope.READ, AccessScope.REVIEW, AccessScope.PREDICT}),
    Role.ADMIN: ALL_SCOPES,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The sender of a request. `sees_numbers`: phone numbers are shown in full. Otherwise they are masked."""

    name: str
    scopes: frozenset[AccessScope]
    sees_numbers: bool
