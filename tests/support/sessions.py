"""SQL about the sessions of the test's own database. Another test process uses other databases of the same server."""

_OF_THIS_DATABASE = "(select oid from pg_database where datname = current_database())"

# Process ids of the connections that listen for changes on behalf of open pages.
PAGE_LISTENERS = (
    "select pid from pg_locks where locktype = 'advisory' and objid = 7312841 and granted"
    f" and database = {_OF_THIS_DATABASE}"
)
# Number of the sessions that wait for a lock.
WAITING_FOR_A_LOCK = (
    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
)
