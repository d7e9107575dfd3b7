"""GET /model-info: the model in use, the decision policy and the limits for clients."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.domain import ALL_SCOPES
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.schemas import ModelInfoAnswer
from amd_service.web.state import runtime_of


async def model_info(request: Request) -> JSONResponse:
    """GET /model-info: the loaded model, its labels and engine, the decision policy, limits, and Twilio's URL."""
    runtime = runtime_of(request)
    chosen = runtime.detector.chosen
    settings = runtime.settings
    check = asdict(chosen.check) if chosen and chosen.check else None
    info = ModelInfoAnswer.model_validate(
        {
            **runtime.classifier_report(),
            "configured": settings.model,
            "engine": {"reason": chosen.reason, "gate": check} if chosen else None,
            "policy": runtime.detector.policy.as_dict(),
            "limits": {"max_upload_bytes": settings.max_upload_bytes, "inference_queue": settings.inference_queue},
            "twilio_api_url": settings.api_origin,
        }
    )
    return JSONResponse(info.model_dump(mode="json"))


ROUTE = DescribedRoute(
    "/model-info",
    model_info,
    needs=ALL_SCOPES,
    get={
        "summary": "The model in use, the decision policy and the limits for clients",
        "responses": {"200": response("The model in use.", ModelInfoAnswer), **problems(*NO_ACCESS)},
    },
)
