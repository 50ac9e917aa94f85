//! The list itself, in the order of the page.

use super::{Kind, Metric};

macro_rules! metrics {
    ($(#[$doc:meta])* $all:ident: $($id:ident = $kind:ident $name:literal in $unit:literal by $labels:expr, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $id: Metric =
                Metric { name: $name, kind: Kind::$kind, unit: $unit, labels: &$labels, meaning: $meaning };
        )*
        $(#[$doc])*
        pub const $all: &[Metric] = &[$($id),*];
    };
}

metrics! {
    /// All that `run` tells.
    ALL:
    // ---- the process
    BUILD_INFO = Gauge "thalweg_build_info" in "1" by ["version"],
        "Always 1. Which version runs";
    START_TIME = Gauge "thalweg_process_start_time_seconds" in "seconds" by [],
        "When the process started (Unix time). A value that changes often is a restart loop";
    RESIDENT_MEMORY = Gauge "thalweg_process_resident_memory_bytes" in "bytes" by [],
        "Memory in use. It levels off with the live keys; steady growth beyond that is a fault";
    CPU_SECONDS = Counter "thalweg_process_cpu_seconds_total" in "seconds" by [],
        "CPU time of all threads";
    WEAK_SETTINGS = Gauge "thalweg_weak_settings" in "settings" by [],
        "Protections that the configuration switches off, each said in the log at the start. Above 0 where data are not \
         made up is worth a question";
    DRAINING = Gauge "thalweg_draining" in "1" by [],
        "1 from the moment that the process was asked to stop. For longer than `worker.grace` it cannot be";

    // ---- the roles
    ROLE_READY = Gauge "thalweg_role_ready" in "1" by ["role"],
        "1 once the role is a member of its group and reads all that it was assigned. `/readyz` says what it waits for";
    ROLE_HEARTBEAT_AGE = Gauge "thalweg_role_heartbeat_age_seconds" in "seconds" by ["role"],
        "How long ago the role's loop last began or ended a call. Minutes: it hangs, and `/livez` says so";
    ROLE_HALTED = Gauge "thalweg_role_halted_partitions" in "partitions" by ["role"],
        "Partitions that stand still until a person acts. Above 0: read the log for the reason";
    ROLE_ASSIGNED = Gauge "thalweg_role_assigned_partitions" in "partitions" by ["role"],
        "Partitions that the group gave to this process";
    ROLE_READING = Gauge "thalweg_role_reading_partitions" in "partitions" by ["role"],
        "Those of them that are read. Fewer for long: a restore that does not end, a halt, or a store that is away";
    ROLE_JOINS = Counter "thalweg_role_joins_total" in "memberships" by ["role"],
        "How often the role became a member of its group anew. Growth is a role that is thrown out again and again";
    ROLE_REBALANCES = Counter "thalweg_role_rebalances_total" in "changes" by ["role", "change"],
        "Changes of the assignment: `assigned`, `revoked`, `lost`. `lost` means that the group gave up on us";
    ROLE_FAILURES = Counter "thalweg_role_failures_total" in "failures" by ["role", "reaction"],
        "Calls to brokers or store that failed, by what they ask for: `retry` (trouble that passes), `replay` (go back to \
         the commit), `rejoin` (fenced or thrown out), `halt` (a person has to act)";
    ROLE_COMMITS = Counter "thalweg_role_commits_total" in "commits" by ["role"],
        "Offset commits of `route` and `lake`, transactions of `aggregate`. None while there is lag: nothing gets through";
    ROLE_LAST_COMMIT = Gauge "thalweg_role_last_commit_timestamp_seconds" in "seconds" by ["role"],
        "When the last of them was done (Unix time). Not there before the first";

    // ---- reading
    READ_RECORDS = Counter "thalweg_read_records_total" in "records" by ["role"],
        "Records that the role read, repeats after a restart or an abort included";
    READ_BYTES = Counter "thalweg_read_bytes_total" in "bytes" by ["role"],
        "Their keys, values and headers";
    READ_LAG_OFFSETS = Gauge "thalweg_read_lag_offsets" in "offsets" by ["role", "partition"],
        "How far the role's reading is behind the end of its partition. An estimate of records: offsets have holes";
    READ_LAG_SECONDS = Gauge "thalweg_read_lag_seconds" in "seconds" by ["role", "partition"],
        "How long ago the log took the newest record that was read, while there are others behind it; 0 at the end. To \
         scale and to alert on";
    READ_BLOCKED_OFFSETS = Gauge "thalweg_read_blocked_offsets" in "offsets" by ["role", "partition"],
        "Offsets that nobody may read yet, because somebody's open transaction stands before them; no lag counts them. Above 0 \
         for longer than that producer's transaction time-out: it left one behind, and a person has to abort it";
    UNCOMMITTED_OFFSETS = Gauge "thalweg_uncommitted_offsets" in "offsets" by ["role", "partition"],
        "Read, and below no commit yet: what the next owner would read again. A saw-tooth for `lake`, as long as a chunk";
    COMMITTED_OFFSET = Gauge "thalweg_committed_offset" in "offsets" by ["role", "partition"],
        "The position: the next offset that is not done";
    RETAINED_OFFSETS = Gauge "thalweg_retained_offsets" in "offsets" by ["role", "partition"],
        "How far the position is ahead of the first record that the log still has. Near 0 with lag: retention is about to \
         take records that were not read";
    LOG_ENDS_AGE = Gauge "thalweg_log_ends_age_seconds" in "seconds" by [],
        "How old the answer of the brokers is that the lags are measured by. Beyond a minute they cannot be trusted";

    // ---- sending
    SENT_RECORDS = Counter "thalweg_sent_records_total" in "records" by ["topic"],
        "Records sent, by the part that their topic plays: `repartition`, `dead_letters`, `state`, `metrics`, `set_aside`, \
         `history`. Those of transactions that were aborted count, too";
    SENT_BYTES = Counter "thalweg_sent_bytes_total" in "bytes" by ["topic"],
        "Their keys and values, before compression";
    FAILED_DELIVERIES = Counter "thalweg_failed_deliveries_total" in "records" by [],
        "Records of `route` that brokers did not acknowledge. Each ends a session, which sends again from its commit";
    IN_FLIGHT_BYTES = Gauge "thalweg_in_flight_bytes" in "bytes" by [],
        "Sent by `route` and not acknowledged. At `pace.in_flight` for long: brokers are slower than we";
    TRANSACTIONS = Counter "thalweg_transactions_total" in "transactions" by ["outcome"],
        "Transactions of `aggregate`: `clean`, `tainted` (its end was sent twice; its rows are sent again), `failed`, and \
         `aborted`. Anything but `clean` is handled, and a sign of brokers in trouble";
    TRANSACTION_DURATION = Histogram "thalweg_transaction_duration_seconds" in "seconds" by [],
        "From begin to the answer to the commit. Close to `kafka.timeouts.transaction` brokers begin to abort them";

    BROKER_ROUND_TRIP = Gauge "thalweg_broker_round_trip_seconds" in "seconds" by ["role"],
        "99 of 100 answers to what the role sends took at most so long, in the last ten seconds, from the slowest broker. \
         Not there while nothing is sent";
    BROKER_WAITING = Gauge "thalweg_broker_waiting_requests" in "requests" by ["role"],
        "Requests of the role's producer that wait to be sent. Many for long: brokers, or the line to them, are too slow";
    BROKER_RETRIES = Counter "thalweg_broker_retries_total" in "requests" by ["role"],
        "Requests of the role's producer that were sent again";
    BROKER_TIMEOUTS = Counter "thalweg_broker_timeouts_total" in "requests" by ["role"],
        "Requests of the role's producer that no broker answered in time";
    BROKER_DISCONNECTS = Counter "thalweg_broker_disconnects_total" in "connections" by ["role"],
        "Connections of the role's producer that ended: by brokers, the network, or something between. A few an hour are \
         idle ones; more is a sign of trouble";

    // ---- what became of the events
    ROUTE_RECORDS = Counter "thalweg_route_records_total" in "records" by [],
        "Raw records that `route` decoded";
    ROUTE_EVENTS = Counter "thalweg_route_events_total" in "events" by [],
        "Those that are events, and were sent on";
    ROUTE_REFUSED = Counter "thalweg_route_refused_total" in "records" by [],
        "Those that are not: dead letters. A share that jumps is a producer that changed";
    ROUTE_WITHOUT_KEY = Counter "thalweg_route_without_key_total" in "contributions" by [],
        "Contributions without a value in a `by` column: they count for nobody";
    ROUTE_OVERFLOWED = Counter "thalweg_route_overflowed_total" in "values" by [],
        "Products outside of 64 bits: they are missing from their row";
    ROUTE_SKIPPED_MEMBERS = Counter "thalweg_route_skipped_members_total" in "members" by [],
        "Members of a map that are no numbers, and were passed over";
    ROUTE_BLOCKS = Counter "thalweg_route_blocks_total" in "blocks" by [],
        "Blocks sent to `aggregate`";
    AGGREGATE_UNITS = Counter "thalweg_aggregate_units_total" in "units" by [],
        "Units taken, duplicates included";
    AGGREGATE_DUPLICATES = Counter "thalweg_aggregate_duplicates_total" in "units" by [],
        "Units whose event id had counted before: set aside";
    AGGREGATE_LATE = Counter "thalweg_aggregate_late_total" in "contributions" by [],
        "Contributions to a calendar window that was over for longer than `lateness`: set aside";
    AGGREGATE_FUTURE = Counter "thalweg_aggregate_future_total" in "units" by [],
        "Units of an event time further ahead than `accept.future`: set aside. Some producer's clock is wrong";
    AGGREGATE_ROWS = Counter "thalweg_aggregate_rows_total" in "rows" by [],
        "Metrics rows written";
    AGGREGATE_TOMBSTONES = Counter "thalweg_aggregate_tombstones_total" in "rows" by [],
        "Rows that are over, and were taken away";
    AGGREGATE_STREAM_TIME = Gauge "thalweg_aggregate_stream_timestamp_seconds" in "seconds" by [],
        "How far stream time has come (Unix time). Standing still while events arrive: a source holds it back";
    LAKE_ROWS = Counter "thalweg_lake_rows_total" in "rows" by [],
        "Rows in files that this process made";
    LAKE_FILES = Counter "thalweg_lake_files_total" in "files" by [],
        "Files that this process made. Few rows in each make the lake slow to read";
    LAKE_BYTES = Counter "thalweg_lake_bytes_total" in "bytes" by [],
        "Bytes of these files";

    // ---- the store
    STORE_CALL_DURATION = Histogram "thalweg_store_call_duration_seconds" in "seconds" by ["call"],
        "Calls to the store with all of their attempts: `create`, `read`, `tail` (a footer), `list`";
    STORE_CALL_ERRORS = Counter "thalweg_store_call_errors_total" in "calls" by ["call"],
        "Calls that failed after all attempts. They are made again, while metrics go on";
    STORE_ATTEMPTS = Counter "thalweg_store_attempts_total" in "attempts" by ["call"],
        "Requests to an object store; not counted for a directory. Many more than calls: the store is in trouble";
    STORE_REFUSED = Counter "thalweg_store_refused_total" in "attempts" by ["call"],
        "Attempts that it said no to: the key was there, no right, too many requests";
    STORE_UNKNOWN = Counter "thalweg_store_unknown_total" in "attempts" by ["call"],
        "Attempts whose outcome nobody can tell. They are resolved by reading what stands there";
}

metrics! {
    /// All that a `verify --metrics-file` tells.
    VERIFY:
    VERIFY_VERDICT = Gauge "thalweg_verify_verdict" in "1" by ["verdict"],
        "1 for how the last `verify` ended, 0 for the others: `green`, `different`, `not_covered` (the lake was behind, or a \
         target too fast), `failed`. `different` needs a person at once; the others only if they stay";
    VERIFY_DIFFERENCES = Gauge "thalweg_verify_differences" in "differences" by ["kind"],
        "Differences that the last verdict found, by what differs; beyond 50, how many of each kind is an estimate. Above 0: \
         `thalweg verify` says where, and docs/verify.md what it means";
    VERIFY_NOT_PROVABLE = Gauge "thalweg_verify_not_provable" in "sentences" by [],
        "What could not be proved, such as chunks that retention took. Growth means that `verify` sees less and less";
    VERIFY_GAPS = Gauge "thalweg_verify_gaps" in "gaps" by [],
        "Ranges of raw records that retention took before they were read: lost, and on record for ever";
    VERIFY_EVENTS = Gauge "thalweg_verify_events" in "events" by [],
        "Events of the lake that the last verdict folded";
    VERIFY_ROWS = Gauge "thalweg_verify_rows" in "rows" by [],
        "Metrics rows that it found right";
    VERIFY_SAMPLE = Gauge "thalweg_verify_sample_ratio" in "ratio" by [],
        "Share of the tenants that it looked at. Below 1, neither lake and log nor dead letters were compared";
    VERIFY_DURATION = Gauge "thalweg_verify_duration_seconds" in "seconds" by [],
        "How long it took";
    VERIFY_TIME = Gauge "thalweg_verify_last_run_timestamp_seconds" in "seconds" by [],
        "When it ended (Unix time). Alert on its age: a proof that nobody makes proves nothing";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for Metric { name, kind, unit, labels, meaning } in ALL.iter().chain(VERIFY) {
            let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(name.starts_with("thalweg_") && word(name), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let base = name.trim_end_matches("_total");
            for base_unit in ["seconds", "bytes", "offsets"] {
                assert!(!base.ends_with(&format!("_{base_unit}")) || *unit == base_unit, "{name} in {unit}");
            }
            assert!(*unit != "seconds" || base.ends_with("_seconds"), "{name} in {unit}");
            assert!(*unit != "bytes" || base.ends_with("_bytes"), "{name} in {unit}");
            assert!(labels.iter().all(|label| word(label)), "{name}");
            assert!(!meaning.ends_with('.') && !meaning.contains('|'), "{name}: {meaning}");
        }
        let names: BTreeSet<_> = ALL.iter().chain(VERIFY).map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len() + VERIFY.len());
    }

    #[test]
    fn no_label_can_hold_anybodys_data() {
        let known = [
            "version",
            "role",
            "partition",
            "change",
            "reaction",
            "outcome",
            "topic",
            "call",
            "verdict",
            "kind",
        ];
        for metric in ALL.iter().chain(VERIFY) {
            assert!(metric.labels.iter().all(|label| known.contains(label)), "{}", metric.name);
        }
    }
}
