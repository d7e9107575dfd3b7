-- Prepares a large database for migration 0005 while the service runs: see "Large databases" in versioning.md.

set statement_timeout = 0;

-- Adding a column needs a lock on the table for a moment. If a long query holds the table, this fails after 5 s and
-- changes nothing. Then run the script again.
set lock_timeout = '5s';

alter table call_log add column if not exists campaign text;

alter table call_log add column if not exists tags text[] not null default '{}';

reset lock_timeout;

create index concurrently if not exists ix_call_log_label_confidence
    on call_log (label, confidence) where label is not null;

create index concurrently if not exists ix_call_log_reason_created_at
    on call_log (reason, created_at) where reason <> 'confident';

create index concurrently if not exists ix_call_log_call_status_created_at
    on call_log (call_status, created_at) where call_status in ('busy', 'failed', 'no-answer', 'canceled');

create index concurrently if not exists ix_call_log_analysis_state_created_at
    on call_log (analysis_state, created_at) where analysis_state in ('queued', 'running', 'failed');

create index concurrently if not exists ix_call_log_campaign_created_at
    on call_log (campaign, created_at) where campaign is not null;

create index concurrently if not exists ix_call_log_campaign_label_created_at
    on call_log (campaign, label, created_at) where campaign is not null and label is not null;

create index concurrently if not exists ix_call_log_tags on call_log using gin (tags) where call_log.tags <> '{}';

create index concurrently if not exists ix_call_log_disagreement
    on call_log (created_at)
    where (call_log.label = 'human' and call_log.twilio_answered_by like 'machine%'
           or call_log.label = 'voicemail' and call_log.twilio_answered_by = 'human');

create index concurrently if not exists ix_call_log_review_order
    on call_log (hashtextextended(call_sid, 0)) where label is not null;
