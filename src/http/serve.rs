//! Listens, and answers one request on each connection: so none is cut off between two.

use super::{Error, Limits, Page, Pages, TEXT};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time;

/// After a failure to accept, most often for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until the process ends; says where, as port 0 takes a free one.
pub fn start(address: SocketAddr, limits: Limits, pages: Arc<dyn Pages>) -> Result<SocketAddr, Error> {
    let listen = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { address },
        _ => Error::Listen { address, source },
    };
    let listener = StdListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    let serve = move || serve(&runtime, listener, limits, &pages);
    thread::Builder::new().name("admin".into()).spawn(serve).map_err(Error::Start)?;
    Ok(bound)
}

fn serve(runtime: &Runtime, listener: StdListener, limits: Limits, pages: &Arc<dyn Pages>) {
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "admin server stopped"),
        };
        let places = Arc::new(Semaphore::new(limits.connections));
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    time::sleep(BREATH).await;
                    continue;
                }
            };
            // Dropping the stream closes it.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let pages = Arc::clone(pages);
            tokio::spawn(async move {
                let _ = time::timeout(limits.connection, talk(stream, limits, pages)).await;
                drop(place);
            });
        }
    });
}

/// What ends badly here is the caller's business, who sees it.
async fn talk(stream: TcpStream, limits: Limits, pages: Arc<dyn Pages>) {
    let answer = move |request: Request<Incoming>| {
        let answer = answer(&request, &*pages);
        async { Ok::<_, Infallible>(answer) }
    };
    let mut server = http1::Builder::new();
    server.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(limits.request);
    server.max_buf_size(limits.bytes);
    let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

fn answer(request: &Request<Incoming>, pages: &dyn Pages) -> Response<Full<Bytes>> {
    let Some(page) = pages.get(request.uri().path()) else {
        return response(StatusCode::NOT_FOUND, TEXT, "not found\n".into());
    };
    if request.method() != Method::GET {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let Page { is_fine, kind, text } = page;
    response(if is_fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, kind, text)
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
