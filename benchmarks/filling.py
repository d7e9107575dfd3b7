"""Fills a database with many calls by SQL."""

from hashlib import md5
from typing import Any

BACKEND = "https://backend.example.com/"
# Days after which data is deleted. 1000 rows of each kind are older.
KEPT_DAYS = 30

# Calls of 30 days: 2 % failed, 8 % undecided, 1 in 3 human, 20 campaigns. The newest {detailed} calls also have a
# recording, a model run and a callback.
FILL = """
    insert into call_log (call_sid, account_sid, from_number, to_number, call_status, analysis_state, label, confidence,
                          reason, verdict_at, verdict_ms, verdict_source, answered_at, created_at, duration_s,
                          twilio_answered_by, campaign, tags)
    select 'CA' || md5(n::text), 'AC1', '+15005550006', '+1500' || lpad((n % 300000)::text, 7, '0'), 'completed',
           case when failed then 'failed' else 'judged' end, label,
           case when failed then null when label = 'undecided' then 0.6 else 0.9 + (n % 100) * 0.001 end,
           case when failed then 'gave_up' when label = 'undecided' then 'low_confidence' else 'confident' end,
           case when not failed then at end, case when not failed then 300 + n % 4000 end,
           case when not failed then 'recording' end, at, at, 20 + n % 60,
           case when n % 3 = 0 then 'human' else 'machine_start' end, 'campaign-' || n % 20, '{{}}'
      from generate_series(1, {calls}) n,
           lateral (select now() - n * interval '30 d' / {calls} as at, n % 50 = 0 as failed) moment,
           lateral (select case when failed then null when n % 12 = 0 then 'undecided' when n % 3 = 0 then 'human'
                           else 'voicemail' end as label) verdict;
    insert into recording (recording_sid, call_sid, account_sid, source, recording_status, state, finished_at,
                           available_at)
    select 'RE' || md5(n::text), 'CA' || md5(n::text), 'AC1', 'OutboundAPI', 'completed', 'done', now(), now()
      from generate_series(1, {detailed}) n;
    insert into verdict (recording_sid, attempt, run_number, decided, label, reason, channels_mixed, policy,
                         policy_version, audio_sha256)
    select 'RE' || md5(n::text), 1, 0, true, 'undecided', 'no_speech', false, '{{}}', '', ''
      from generate_series(1, {detailed}) n;
    insert into callback (sha256, route, call_sid, account_sid, parameters, received_at, facts)
    select n::text, 'status', 'CA' || md5(n::text), 'AC1', '[]', now() - n * interval '30 d' / {calls},
           jsonb_build_object('account_sid', 'AC' || md5('1'), 'call_sid', 'CA' || md5(n::text),
                              'call_status', 'completed', 'sequence_number', 3)
      from generate_series(1, {detailed}) n
"""
# After FILL, with all its details for every call. The numbers of calls with waiting work do not depend on {calls}.
FINISHED = """
    insert into delivery (call_sid, sequence, url, type, payload, state, finished_at)
    select 'CA' || md5(n::text), 1, '{backend}', 'call.judged', '{{}}', 'done',
           now() - case when n > {calls} - 1000 then interval '40 d' else n * interval '29 d' / {calls} end
      from generate_series(1, {calls}) n;
    insert into annotation (call_sid, answered_by, state, finished_at)
    select 'CA' || md5(n::text), 'human', 'done', now() from generate_series(1, {calls}, 2) n;
    insert into review (call_sid, reviewer, answer)
    select 'CA' || md5(n::text), 'ada', 'human' from generate_series(1, {calls}, 10) n;
    insert into verdict (recording_sid, source, attempt, run_number, decided, label, reason, confidence, channels_mixed,
                         policy, policy_version, audio_sha256, window_start_ms, window_ms, human_score, voicemail_score,
                         inference_ms, model_id, weights_sha256, engine, precision, proof)
    select 'RE' || md5(n::text), 'shadow', 1, 1, false, 'human', 'confident', 0.9, false, '{{}}', '', '', 0, 2000, 0.9,
           0.1, 1, 'models/new', repeat('1', 64), 'torch', 'fp32', 'proven'
      from generate_series(1, {calls}, 10) n;
    insert into call_request (key, fingerprint, account_sid, outcome, call_sid, created_at)
    select n::text, '', 'AC1', 'placed', 'CA' || md5(n::text),
           now() - case when n > {calls} - 1000 then interval '8 d' else n * interval '6 d' / {calls} end
      from generate_series(1, {calls}) n
"""
WAITING = """
    update recording set state = 'queued', finished_at = null, queued_at = now(),
                         attempts = case when n > 100 then 9 else 0 end
      from generate_series(1, 150) n where recording_sid = 'RE' || md5(n::text);
    delete from verdict using generate_series(1, 150) n where recording_sid = 'RE' || md5(n::text);
    update call_log set analysis_state = 'queued', label = null, confidence = null, reason = null, verdict_at = null,
                        verdict_ms = null, verdict_source = null
      from generate_series(1, 150) n where call_sid = 'CA' || md5(n::text);
    update recording set state = 'queued' from generate_series(201, 300) n where recording_sid = 'RE' || md5(n::text);
    insert into inbox (callback_id, call_sid, account_sid)
    select id, call_sid, account_sid from callback, generate_series(301, 400) n where sha256 = n::text;
    update call_log set call_status = 'in-progress', created_at = now() - interval '1 d'
      from generate_series(401, 500) n where call_sid = 'CA' || md5(n::text);
    update call_log set call_status = 'in-progress', action = 'hang_up', action_state = 'due',
                        action_at = now() + interval '1 d'  -- a late action would be refused
      from generate_series(501, 520) n where call_sid = 'CA' || md5(n::text);
    update delivery set state = 'queued', finished_at = null,
                        url = case when n > 690 then 'https://removed.example.com' else url end,
                        available_at = now() - interval '4 d'
      from generate_series(601, 700) n where call_sid = 'CA' || md5(n::text);
    update annotation set state = 'queued', finished_at = null
      from generate_series(1, 199, 2) n where call_sid = 'CA' || md5(n::text);
    update callback set received_at = now() - interval '40 d' where sha256::int > {calls} - 1000
"""


def sid(number: int) -> str:
    """Return the hex digits of the SIDs of a call, as FILL computes them."""
    return md5(str(number).encode(), usedforsecurity=False).hexdigest()


async def fill(connection: Any, calls: int) -> None:
    """Fill a migrated database with finished calls and the constant amount of waiting work. The role is a superuser.

    `connection`: of the driver. `calls`: at least 3000.
    """
    await connection.execute("set session_replication_role = replica")  # without foreign keys, which are slow
    values = {"calls": calls, "detailed": calls, "backend": BACKEND}
    for statements in (FILL, FINISHED, WAITING):
        await connection.execute(statements.format(**values))
    await connection.execute("set session_replication_role = origin")
    await connection.execute("vacuum analyze")
