"""Settings of the shadow model, whose verdicts are stored for comparison and have no effect."""

from pydantic import BaseModel, Field


class ShadowSettings(BaseModel):
    """The second model of a worker."""

    shadow_model: str | None = Field(
        None,
        description="Model that judges recordings after their verdict is stored: a Hugging Face id or a folder. Its "
        "runs are stored for `amd-service model compare`, and have no effect on calls. See docs/models.md.",
    )
    shadow_revision: str | None = Field(
        None, description="Commit, tag or branch of a shadow model from the Hugging Face hub."
    )
    shadow_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the calls that the shadow model judges. The CallSid decides whether a call belongs to "
        "the share.",
    )
