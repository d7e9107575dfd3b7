"""Objects that the request handlers of an app share."""

import asyncio
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from amd_service.operations.call_statistics import KEEP_S, CallStatistics, share_statistics
from amd_service.operations.campaign_report import CampaignReports, share_campaign_reports
from amd_service.operations.change_feed import ChangeFeed
from amd_service.operations.judge_stream import StreamJudge
from amd_service.operations.listening import FETCHES_AT_ONCE, Listening
from amd_service.operations.review.error_report import ErrorReports, share_error_reports
from amd_service.operations.review.review_queues import OpenCalls
from amd_service.operations.shared_results import KEEP_TIMES
from amd_service.operations.sign_in import PasswordChecker
from amd_service.operations.what_if import WhatIfs, share_what_ifs
from amd_service.runtime import Runtime
from amd_service.web.authentication import Authentication
from amd_service.web.limiter import Limiter
from amd_service.web.pages.notices import classifier_notices
from amd_service.web.pages.rendering import Templates
from amd_service.web.pages.shared_views import SharedViews
from amd_service.web.sign_in_limiter import SignInLimiter
from amd_service.web.time_limits import TimeLimits

# Maximum number of sign-ins at the same time. Their passwords are checked one after the other.
MAX_SIGN_INS = 8


@dataclass(frozen=True, slots=True)
class AppState:
    """Objects that the request handlers of one app share."""

    runtime: Runtime
    time_limits: TimeLimits
    authentication: Authentication
    sign_in_limiter: SignInLimiter
    sign_in_slots: Limiter
    passwords: PasswordChecker
    templates: Templates
    stream_judge: StreamJudge
    stream_limiter: Limiter
    campaign_reports: CampaignReports
    error_reports: ErrorReports
    kept_error_reports: ErrorReports
    changes: ChangeFeed
    statistics: CallStatistics
    what_ifs: WhatIfs
    exports: asyncio.Lock
    shared_views: SharedViews
    page_limiter: Limiter
    listening: Listening
    listening_limiter: Limiter
    open_calls: OpenCalls


def create_state(runtime: Runtime, time_limits: TimeLimits) -> AppState:
    """Build the state of an app. `runtime`: an open runtime."""
    changes = ChangeFeed(runtime.database, runtime.metrics)
    rules, plan = runtime.rules, runtime.plan
    slow_queries = asyncio.Lock()
    return AppState(
        runtime=runtime,
        time_limits=time_limits,
        authentication=Authentication(runtime),
        sign_in_limiter=SignInLimiter(),
        templates=Templates(runtime.settings.public_url, lambda: classifier_notices(runtime.classifier_report())),
        sign_in_slots=Limiter(MAX_SIGN_INS),
        passwords=PasswordChecker(),
        stream_judge=runtime.build_stream_judge(verdict_s=time_limits.media_verdict_s),
        stream_limiter=Limiter(runtime.settings.live_streams),
        campaign_reports=share_campaign_reports(runtime.database, rules, plan, slow_queries),
        error_reports=share_error_reports(runtime.database, rules, plan, slow_queries),
        # For programs, which ask more often than people.
        kept_error_reports=share_error_reports(
            runtime.database, rules, plan, slow_queries, keep_s=KEEP_S, keep_times=KEEP_TIMES
        ),
        changes=changes,
        statistics=share_statistics(runtime.database, rules, slow_queries),
        what_ifs=share_what_ifs(runtime.database, rules, plan, slow_queries, keep_s=KEEP_S),
        exports=asyncio.Lock(),
        shared_views=SharedViews(changes),
        # Every open page keeps a connection. The other half stays for other clients.
        page_limiter=Limiter(runtime.settings.max_connections // 2),
        listening=Listening(runtime.database, runtime.settings.accounts, runtime.recordings),
        listening_limiter=Limiter(FETCHES_AT_ONCE),
        open_calls=OpenCalls(),
    )


def state_of(connection: HTTPConnection) -> AppState:
    """Return the state of the app that serves a request or WebSocket."""
    state: AppState = connection.app.state.service
    return state


def runtime_of(connection: HTTPConnection) -> Runtime:
    """Return the runtime of the app that serves a request or WebSocket."""
    return state_of(connection).runtime
