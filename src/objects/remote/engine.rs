//! Where requests run: a runtime of one thread, because the roles' threads poll futures by hand.

use std::future::Future;
use std::panic::resume_unwind;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinError};

/// Ends without waiting for anybody: a look-up of a name that hangs must not hold up a shutdown.
#[derive(Debug)]
pub(super) struct Engine(Option<Runtime>);

/// Whoever stops waiting for a call also stops the call.
struct AbortOnDrop(AbortHandle);

impl Engine {
    pub(super) fn start() -> std::io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("objects").enable_all();
        Ok(Engine(Some(builder.build()?)))
    }

    /// Runs `call` over there, and is woken here, on whatever polls this future.
    pub(super) async fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.0.as_ref().expect("only dropped with the engine");
        let task = runtime.spawn(call);
        let _abort = AbortOnDrop(task.abort_handle());
        task.await.unwrap_or_else(|error: JoinError| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => unreachable!("a call is stopped only by whoever waits for it"),
        })
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
