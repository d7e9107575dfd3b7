"""Rules and sampling plans as a process with these settings and a model without `windows.json` has them."""

from amd_service.calls.call_filter import FilterRules
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.strata import LowConfidence
from amd_service.detection.decision import Policy
from amd_service.settings import Settings


def make_low(settings: Settings) -> LowConfidence:
    policy = Policy.from_settings(settings)
    return LowConfidence.above(human=policy.min_confidence_human, voicemail=policy.min_confidence_voicemail)


def make_rules(settings: Settings) -> FilterRules:
    return FilterRules(NumberPolicy.from_settings(settings), make_low(settings))


def make_plan(settings: Settings) -> SamplingPlan:
    return SamplingPlan.from_settings(settings, make_low(settings))
