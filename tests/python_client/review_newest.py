"""Lists the calls that are labelled voicemail and reviews the newest one, with a client from the OpenAPI document."""

import json
import os
import sys

from amd_client import AuthenticatedClient
from amd_client.api.default import add_review, list_calls
from amd_client.models import CallPage, ListCallsLabelItem, ReviewAnswer, ReviewRequest, ReviewShape

client = AuthenticatedClient(base_url=os.environ["SERVICE_URL"], token=os.environ["SERVICE_KEY"])
with client:
    listed = list_calls.sync(client=client, label=[ListCallsLabelItem.VOICEMAIL], limit=1)
    assert isinstance(listed, CallPage), listed
    (call,) = listed.calls
    answer = ReviewRequest(answer=ReviewAnswer.HUMAN)
    review = add_review.sync(sid=call.call_sid, client=client, body=answer, idempotency_key="review-1")
    assert isinstance(review, ReviewShape), review
sys.stdout.write(json.dumps({"to": call.to_number, "next": listed.next_, "review": review.id}))
