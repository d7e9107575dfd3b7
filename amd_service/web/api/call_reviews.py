"""Read and add the reviews of a call, and judge a call again."""

from http import HTTPStatus

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.domain import AccessScope
from amd_service.errors import IdempotencyKeyReused
from amd_service.operations.read_call import read_call
from amd_service.operations.requeue import requeue_call
from amd_service.operations.review.answer import GivenAnswer, read_reviews, record_answer
from amd_service.twilio.call_request import describe_faults
from amd_service.web.api.calls import CALL_SID, call_sid_of, unknown_call
from amd_service.web.api.example_bodies import REVIEW
from amd_service.web.api.idempotency import key_parameter, read_key
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.review_shapes import AnalysisAnswer, ReviewRequest, ReviewsAnswer, ReviewShape
from amd_service.web.authentication import principal_of
from amd_service.web.body import read_json
from amd_service.web.masking import masked_json
from amd_service.web.media_types import JSON
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

MAX_REQUEST_BYTES = 64 * 1024


async def list_reviews(request: Request) -> JSONResponse:
    """GET /api/calls/{sid}/reviews: all reviews of a call."""
    call_sid = call_sid_of(request)
    found = await read_reviews(runtime_of(request).database, call_sid)
    if found is None:
        raise unknown_call(call_sid)
    answer = ReviewsAnswer(reviews=[ReviewShape.of(review) for review in found])
    return JSONResponse(masked_json(answer.model_dump(mode="json"), principal_of(request)))


async def add_review(request: Request) -> JSONResponse:
    """POST /api/calls/{sid}/reviews: record what a person heard.

    Responds 201 with the new review. Responds 200 with the stored review if the answer was sent before.
    """
    call_sid, runtime = call_sid_of(request), runtime_of(request)
    body = await read_json(request, MAX_REQUEST_BYTES, timeout_s=state_of(request).time_limits.call_request_body_s)
    try:
        sent = ReviewRequest.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        is_json = all(fault["type"] != "json_invalid" for fault in faults)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_json else HTTPStatus.BAD_REQUEST
        raise Problem(status, describe_faults(faults)) from error
    given = GivenAnswer(
        call_sid,
        principal_of(request).name,
        sent.answer,
        sent.note,
        seen=None,
        from_queue=False,
        idempotency_key=read_key(request.headers),
    )
    try:
        recorded = await record_answer(
            runtime.database,
            runtime.plan,
            given,
            annotates=runtime.settings.annotate_calls,
        )
    except IdempotencyKeyReused as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    if recorded is None:
        if await read_call(runtime.database, call_sid) is None:
            raise unknown_call(call_sid)
        raise Problem(HTTPStatus.CONFLICT, "the call has no verdict yet, so there is nothing to review")
    return JSONResponse(
        ReviewShape.of(recorded.review).model_dump(mode="json"),
        status_code=HTTPStatus.CREATED if recorded.is_new else HTTPStatus.OK,
    )


async def analyse_call(request: Request) -> JSONResponse:
    """POST /api/calls/{sid}/analyse: queue the recordings of a call for a new model run."""
    call_sid, database = call_sid_of(request), runtime_of(request).database
    requeued = await requeue_call(database, call_sid)
    if requeued.refusal is not None:
        if await read_call(database, call_sid) is None:
            raise unknown_call(call_sid)
        raise Problem(HTTPStatus.CONFLICT, f"nothing can be analysed again: {requeued.refusal}")
    answer = AnalysisAnswer(requeued=requeued.requeued, deleted=requeued.deleted, streams=requeued.streams)
    return JSONResponse(answer.model_dump(mode="json"), status_code=HTTPStatus.ACCEPTED)


IDEMPOTENCY_KEY = key_parameter(
    "The client chooses one key for each review. A repeated request with the same key adds no second review and gets "
    "the first one. A different request with the same key is refused. Keys of different reviewers are independent. "
    "Without a key, an answer equal to the reviewer's latest answer adds no review."
)

_OF_CALL = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)

ROUTES = (
    DescribedRoute(
        "/api/calls/{sid}/reviews",
        list_reviews,
        needs=AccessScope.READ,
        get={
            "summary": "The reviews of a call",
            "parameters": [CALL_SID],
            "responses": {
                "200": response("All reviews, oldest first.", ReviewsAnswer, example={"reviews": [REVIEW]}),
                **problems(*NO_ACCESS, *_OF_CALL),
            },
        },
    ),
    DescribedRoute(
        "/api/calls/{sid}/reviews",
        add_review,
        needs=AccessScope.REVIEW,
        post={
            "summary": "Review a call",
            "description": "Record what a person heard in a judged call. The reviewer is the name of the key or of the "
            "person. The verdict does not change. Reviews of this endpoint count for no error rate, because the caller "
            "chose the call.",
            "parameters": [CALL_SID, IDEMPOTENCY_KEY],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {"$ref": f"#/components/schemas/{ReviewRequest.__name__}"},
                        "example": {"answer": "human", "note": "answers after three seconds"},
                    }
                },
            },
            "responses": {
                "201": response("The review was added.", ReviewShape, example=REVIEW),
                "200": response("The review was stored before.", ReviewShape, example=REVIEW),
                **problems(
                    *NO_ACCESS,
                    *_OF_CALL,
                    HTTPStatus.BAD_REQUEST,
                    HTTPStatus.REQUEST_TIMEOUT,
                    HTTPStatus.CONFLICT,
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                ),
            },
        },
    ),
    DescribedRoute(
        "/api/calls/{sid}/analyse",
        analyse_call,
        needs=AccessScope.REVIEW,
        post={
            "summary": "Analyse a call again",
            "description": "Queue the recordings of a call for a new model run. The present verdict stays until a "
            "worker has written a new one, and then stays among the model runs of the call. A new verdict of a judged "
            "call causes no action. 409: the call has no recording that can be analysed; `detail` says why.",
            "parameters": [CALL_SID],
            "responses": {
                "202": response(
                    "A worker will judge the recordings.",
                    AnalysisAnswer,
                    example={"requeued": 1, "deleted": 0, "streams": 0},
                ),
                **problems(*NO_ACCESS, *_OF_CALL, HTTPStatus.CONFLICT),
            },
        },
    ),
)
