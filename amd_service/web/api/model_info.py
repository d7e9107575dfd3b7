"""GET /model-info: which model answers, how it is used, and what it is allowed."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.web.api.schemas import ModelInfoAnswer
from amd_service.web.state import runtime_of


async def model_info(request: Request) -> JSONResponse:
    """The loaded model with its labels, engine and proofs; windows, thresholds, limits; where recordings come from."""
    runtime = runtime_of(request)
    chosen = runtime.detector.chosen
    settings = runtime.settings
    answer = ModelInfoAnswer.model_validate(
        {
            **runtime.classifier_report(),
            "configured": settings.model,
            "engine": {"reason": chosen.reason, "gate": chosen.gate} if chosen else None,
            "policy": runtime.detector.policy.as_dict(),
            "limits": {"max_upload_bytes": settings.max_upload_bytes, "inference_queue": settings.inference_queue},
            "twilio_api_url": settings.api_origin,
        }
    )
    return JSONResponse(answer.model_dump(mode="json"))
