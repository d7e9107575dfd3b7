-- Prepares a large database for migration 0004 while the service runs: see "Large databases" in versioning.md.

set statement_timeout = 0;

create index concurrently if not exists ix_recording_due_first
    on recording (available_at) where state in ('queued', 'running') and finished_at is null;

create index concurrently if not exists ix_recording_due_again
    on recording (available_at) where state in ('queued', 'running') and finished_at is not null;

create index concurrently if not exists ix_recording_given_up on recording (recording_sid) where state = 'dead';

create index concurrently if not exists ix_call_log_answered_at on call_log (answered_at);

create index concurrently if not exists ix_call_log_to_number_created_at on call_log (to_number, created_at);

create index concurrently if not exists ix_call_log_judged_day
    on call_log (((coalesce(answered_at, created_at) at time zone 'UTC')::date), call_sid) where label is not null;

-- Adding a column needs a lock on the table for a moment. If a long query holds the table, this fails after 5 s and
-- changes nothing. Then run the script again.
set lock_timeout = '5s';

alter table call_log add column if not exists recording_sid text;

-- In batches, so that a callback never waits long for a row.
do $$
declare
    last text := '';
begin
    loop
        with batch as (
            select call_sid from call_log where call_sid > last order by call_sid limit 2000
        ), filled as (
            update call_log set recording_sid = recording.recording_sid
              from recording join verdict on verdict.recording_sid = recording.recording_sid
             where call_log.call_sid in (select call_sid from batch) and call_log.recording_sid is null
               and recording.call_sid = call_log.call_sid and verdict.decided
               and verdict.created_at = call_log.verdict_at and verdict.label = call_log.label
        )
        select max(call_sid) into last from batch;
        exit when last is null;
        commit;
    end loop;
end
$$;
