//! An OpenTelemetry collector that keeps what it is sent, so that a test can follow one request, and look for what must
//! not be in any signal.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    trace::v1::Span,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// Everything that was sent. Clones share it.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Sent>>);

#[derive(Default)]
struct Sent {
    spans: Vec<Span>,
    metrics: Vec<String>,
    /// Every signal as text, for canaries.
    all: String,
}

impl Collector {
    /// Listens on a free port of loopback for as long as the runtime lives.
    ///
    /// # Panics
    /// When loopback has no port.
    pub async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .add_service(LogsServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[allow(clippy::disallowed_methods, reason = "a server of the tests, which ends with their process")]
        tokio::spawn(server);
        (collector, address)
    }

    /// The names of the spans of one trace, as they came.
    pub fn spans(&self, trace_id: &str) -> Vec<String> {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_trace = sent.spans.iter().filter(|span| hex(&span.trace_id) == trace_id);
        of_trace.map(|span| span.name.clone()).collect()
    }

    /// The names of all metrics so far.
    pub fn metrics(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).metrics.clone()
    }

    /// Whether `text` stands anywhere in any signal.
    pub fn holds(&self, text: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.contains(text)
    }

    fn keep(&self, text: String, with: impl FnOnce(&mut Sent)) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.all.push_str(&text);
        with(&mut sent);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let text = format!("{request:?}");
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.keep(text, |sent| sent.spans.extend(scopes.flat_map(|scope| scope.spans)));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let text = format!("{request:?}");
        let scopes =
            request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let names = scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name);
        self.keep(text, |sent| sent.metrics.extend(names));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.keep(format!("{request:?}"), |_| {});
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
