//! What the client library says by itself, in our log.

/// Does anybody listen? Else the library goes on writing to standard error as it likes.
pub(super) fn is_heard() -> bool {
    tracing::dispatcher::has_been_set()
}

/// `level` is one of syslog's. The library mends by itself what it calls an error, so nobody has to act: it is a warning.
pub(super) fn said(level: i32, facility: &str, text: &str) {
    match level {
        ..=4 => tracing::warn!(facility, said = text, "Kafka client"),
        5 | 6 => tracing::info!(facility, said = text, "Kafka client"),
        7.. => tracing::debug!(facility, said = text, "Kafka client"),
    }
}
