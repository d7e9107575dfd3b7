"""A database with many finished calls, and the plans of the queries that a function sends."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

# 8000 finished calls with recordings, verdicts and callbacks, and a few rows that still need work.
FILL = """
    set session_replication_role = replica;  -- without triggers and foreign keys, which are slow
    insert into call_log (call_sid, account_sid, to_number, call_status, analysis_state, label, confidence, reason,
                          verdict_at, answered_at, created_at, twilio_answered_by)
    select 'CA' || n, 'AC1', '+1500' || n, 'completed', 'judged', 'human', 0.9, 'confident',
           t, t, t, 'human'
      from generate_series(1, 8000) n, lateral (select now() - n * interval '5 min') as times (t);
    insert into recording (recording_sid, call_sid, account_sid, source, recording_status, state, failure, finished_at,
                           erased_at, available_at)
    select 'RE' || n, 'CA' || n, 'AC1', 'OutboundAPI', 'completed', case when n % 1000 = 0 then 'dead' else 'done' end,
           case when n % 1000 = 0 then 'gave_up' end, t, t, t
      from generate_series(1, 8000) n, lateral (select now() - n * interval '5 min') as times (t);
    insert into verdict (recording_sid, attempt, run_number, decided, label, reason, channels_mixed, policy,
                         policy_version, audio_sha256)
    select 'RE' || n, 1, 0, true, 'undecided', 'no_speech', false, '{}', '', '' from generate_series(1, 8000) n;
    insert into verdict (recording_sid, source, attempt, run_number, decided, label, reason, confidence, channels_mixed,
                         policy, policy_version, audio_sha256, window_start_ms, window_ms, human_score, voicemail_score,
                         inference_ms, model_id, weights_sha256, engine, precision, proof, created_at)
    select 'RE' || n, 'shadow', 1, 1, false, 'human', 'confident', 0.9, false, '{}', '', '', 0, 2000, 0.9, 0.1, 1,
           'models/new', repeat('1', 64), 'torch', 'fp32', 'proven', now() - n * interval '5 min'
      from generate_series(1, 10) n;
    insert into callback (sha256, route, call_sid, account_sid, facts, received_at)
    select n::text, 'status', 'CA' || n, 'AC1', '{}', now() - n * interval '5 min' from generate_series(1, 8000) n;
    insert into inbox (callback_id, call_sid, account_sid) select n, 'CA' || n, 'AC1' from generate_series(1, 8000) n;
    insert into call_request (key, fingerprint, account_sid, outcome, call_sid, created_at)
    select n::text, '', 'AC1', 'placed', 'CA' || n, now() - n * interval '5 min' from generate_series(1, 8000) n;
    insert into review (call_sid, reviewer, answer) select 'CA' || n, 'ada', 'human' from generate_series(1, 8000) n;
    insert into delivery (call_sid, sequence, url, type, payload, state, finished_at)
    select 'CA' || n, 1, 'https://backend.example.com/', 'call.judged', '{}', 'done', now() - n * interval '5 min'
      from generate_series(1, 8000) n;
    insert into annotation (call_sid, answered_by, state, finished_at)
    select 'CA' || n, 'human', 'done', now() - n * interval '5 min' from generate_series(1, 8000) n;

    update recording set state = 'queued', finished_at = null where recording_sid in ('RE1', 'RE2', 'RE3');
    update recording set state = 'queued' where recording_sid in ('RE4', 'RE5');
    update recording set erased_at = null where recording_sid in ('RE6', 'RE7');
    update callback set parameters = '[]' where sha256 in ('7998', '7999');
    update call_log set action = 'hang_up', action_state = 'due', action_at = now() where call_sid = 'CA1';
    update call_log set call_status = 'in-progress' where call_sid in ('CA300', 'CA301');
    analyze
"""


async def plans(session: AsyncSession, work: Callable[[AsyncSession], Awaitable[Any]]) -> str:
    """Return the plans of all queries that `work` sends: for their values, and prepared for all values.

    asyncpg prepares each query. After five executions Postgres may use one plan for all values.
    """
    connection = await session.connection()
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, is_many: bool) -> None:
        sent.append((statement, parameters[0] if is_many else parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    await work(session)
    event.remove(connection.sync_connection, "before_cursor_execute", note)
    lines: list[str] = []
    await connection.exec_driver_sql("set local plan_cache_mode = force_generic_plan")
    for statement, parameters in sent:
        lines += (await connection.exec_driver_sql(f"explain {statement}", parameters)).scalars()
        values = ", ".join(["null"] * len(parameters))
        await connection.exec_driver_sql(f"prepare planned as {statement}")
        lines += (await connection.exec_driver_sql(f"explain execute planned({values})".replace("()", ""))).scalars()
        await connection.exec_driver_sql("deallocate planned")
    return "\n".join(lines)
