"""GET /model-info: the model in use, its policy and its limits."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.web.api.openapi.responses import answer, problems
from amd_service.web.api.openapi.route import KEY_REQUIRED, NO_ACCESS, DescribedRoute
from amd_service.web.api.schemas import ModelInfoAnswer
from amd_service.web.state import runtime_of


async def model_info(request: Request) -> JSONResponse:
    """GET /model-info: the loaded model with labels and engine; windows, thresholds and limits; Twilio's URL."""
    runtime = runtime_of(request)
    chosen = runtime.detector.chosen
    settings = runtime.settings
    gate = asdict(chosen.check) if chosen and chosen.check else None
    info = ModelInfoAnswer.model_validate(
        {
            **runtime.classifier_report(),
            "configured": settings.model,
            "engine": {"reason": chosen.reason, "gate": gate} if chosen else None,
            "policy": runtime.detector.policy.as_dict(),
            "limits": {"max_upload_bytes": settings.max_upload_bytes, "inference_queue": settings.inference_queue},
            "twilio_api_url": settings.api_origin,
        }
    )
    return JSONResponse(info.model_dump(mode="json"))


ROUTE = DescribedRoute(
    "/model-info",
    model_info,
    get={
        **KEY_REQUIRED,
        "summary": "The model in use, its policy and its limits",
        "responses": {"200": answer("The model.", ModelInfoAnswer), **problems(*NO_ACCESS)},
    },
)
