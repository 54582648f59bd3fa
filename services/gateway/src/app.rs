//! What all handlers share: configuration, peers, sessions, cursors and windows. Clones share it.

use std::sync::Arc;

use lethe_ambient::{Clock, Entropy, Tasks};
use lethe_proto::{
    identity::{
        api_key_service_client::ApiKeyServiceClient, identity_service_client::IdentityServiceClient,
        operator_access_service_client::OperatorAccessServiceClient,
        person_service_client::PersonServiceClient, team_service_client::TeamServiceClient,
    },
    messaging::{
        contact_service_client::ContactServiceClient, conversation_service_client::ConversationServiceClient,
        import_service_client::ImportServiceClient, label_service_client::LabelServiceClient,
        message_service_client::MessageServiceClient, webhook_service_client::WebhookServiceClient,
    },
    retention::retention_service_client::RetentionServiceClient,
    search::search_service_client::SearchServiceClient,
};
use lethe_service::{CallContext, Env, Job, PeerChannel, Probe};
use opentelemetry::metrics::Histogram;

use crate::{
    config::{Config, Unusable},
    cursor::{Cursors, Place},
    edge::{Begun, Running},
    json::PageLimit,
    problem::Problem,
    rate::Window,
    request_log::RequestLog,
    routes::Routes,
    session::{Acting, Sessions},
    shares::Shares,
};

/// A page of 200 messages of 64 KiB, and what else stands in them.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The gateway's parts.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    config: Config,
    env: Env,
    sessions: Sessions,
    cursors: Cursors,
    routes: Routes,
    request_log: RequestLog,
    windows: Windows,
    running: Running,
    duration: Histogram<f64>,
    probes: Vec<Probe>,
}

/// How often, by what.
pub(crate) struct Windows {
    pub(crate) log_in_address: Window,
    pub(crate) log_in_member: Window,
    pub(crate) address: Window,
    pub(crate) member: Window,
    pub(crate) api_key: Window,
    pub(crate) tenant: Window,
}

impl App {
    /// Puts them together; with what the gateway does by itself.
    pub(crate) fn new(config: Config, env: Env, probes: Vec<Probe>) -> Result<(Self, Vec<Job>), Unusable> {
        config.check()?;
        let key = config.cursor_key()?.unwrap_or_else(|| {
            tracing::info!("no gateway.cursor_key: cursors end with this process");
            env.entropy.bytes()
        });
        let life = std::time::Duration::from_secs(config.cursor_life_s);
        let (rates, shares) = (&config.rates, Shares::default());
        let windows = Windows {
            log_in_address: Window::new("log_in_address", rates.log_in_address, &shares),
            log_in_member: Window::new("log_in_member", rates.log_in_member, &shares),
            address: Window::new("address", rates.address, &shares),
            member: Window::new("member", rates.member, &shares),
            api_key: Window::new("api_key", rates.api_key, &shares),
            tenant: Window::new("tenant", rates.tenant, &shares),
        };
        let (request_log, recording) = RequestLog::new(config.request_log_queue, &env);
        let jobs = vec![recording, shares.job(&env)];
        let routes = Routes::of(&crate::api::document());
        let sessions =
            Sessions::new(config.max_sessions, env.access.clone(), env.peers.clone(), env.clock.clone());
        let cursors = Cursors::new(&key, life, env.clock.clone(), env.entropy.clone());
        let meter = opentelemetry::global::meter("lethe");
        let duration = meter.f64_histogram("http.server.request.duration").with_unit("s").build();
        let running = Running::default();
        let inner =
            Inner { config, env, sessions, cursors, routes, request_log, windows, running, duration, probes };
        Ok((Self(Arc::new(inner)), jobs))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }
    pub(crate) fn body_limit(&self) -> usize {
        self.0.config.body_limit_bytes
    }
    pub(crate) fn clock(&self) -> &Clock {
        &self.0.env.clock
    }
    pub(crate) fn entropy(&self) -> &Entropy {
        &self.0.env.entropy
    }
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }
    pub(crate) fn routes(&self) -> &Routes {
        &self.0.routes
    }
    pub(crate) fn request_log(&self) -> &RequestLog {
        &self.0.request_log
    }
    pub(crate) fn windows(&self) -> &Windows {
        &self.0.windows
    }
    pub(crate) fn duration(&self) -> &Histogram<f64> {
        &self.0.duration
    }
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.0.probes
    }
    pub(crate) fn is_stopping(&self) -> bool {
        self.tasks().is_stopping()
    }
    fn tasks(&self) -> &Tasks {
        &self.0.env.tasks
    }

    /// One more request at work; `None` when there are too many. Health is answered all the same.
    pub(crate) fn begin(&self, route: &str) -> Option<Begun<'_>> {
        if matches!(route, "/livez" | "/readyz") {
            return Some(Begun::uncounted());
        }
        self.0.running.begin(self.0.config.max_in_flight)
    }

    fn peer(&self, name: &str, context: &CallContext) -> PeerChannel {
        self.0.env.peers.client(name, context)
    }

    /// Identity, for this request.
    pub(crate) fn identity(&self, context: &CallContext) -> IdentityServiceClient<PeerChannel> {
        IdentityServiceClient::new(self.peer("identity", context)).max_decoding_message_size(LARGEST_ANSWER)
    }
    /// Identity's API keys, for this request.
    pub(crate) fn api_keys(&self, context: &CallContext) -> ApiKeyServiceClient<PeerChannel> {
        ApiKeyServiceClient::new(self.peer("identity", context)).max_decoding_message_size(LARGEST_ANSWER)
    }
    /// Retention, for this request.
    pub(crate) fn retention(&self, context: &CallContext) -> RetentionServiceClient<PeerChannel> {
        RetentionServiceClient::new(self.peer("retention", context)).max_decoding_message_size(LARGEST_ANSWER)
    }
}

impl Acting {
    pub(crate) fn api_keys(&self) -> ApiKeyServiceClient<PeerChannel> {
        self.app.api_keys(&self.context)
    }
    pub(crate) fn identity(&self) -> IdentityServiceClient<PeerChannel> {
        self.app.identity(&self.context)
    }
    pub(crate) fn teams(&self) -> TeamServiceClient<PeerChannel> {
        TeamServiceClient::new(self.app.peer("identity", &self.context))
    }
    pub(crate) fn operator_access(&self) -> OperatorAccessServiceClient<PeerChannel> {
        OperatorAccessServiceClient::new(self.app.peer("identity", &self.context))
    }
    pub(crate) fn persons(&self) -> PersonServiceClient<PeerChannel> {
        PersonServiceClient::new(self.app.peer("identity", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn retention(&self) -> RetentionServiceClient<PeerChannel> {
        self.app.retention(&self.context)
    }
    pub(crate) fn contacts(&self) -> ContactServiceClient<PeerChannel> {
        ContactServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn conversations(&self) -> ConversationServiceClient<PeerChannel> {
        ConversationServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn labels(&self) -> LabelServiceClient<PeerChannel> {
        LabelServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn messages(&self) -> MessageServiceClient<PeerChannel> {
        MessageServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn webhooks(&self) -> WebhookServiceClient<PeerChannel> {
        WebhookServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn imports(&self) -> ImportServiceClient<PeerChannel> {
        ImportServiceClient::new(self.app.peer("messaging", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }
    pub(crate) fn search(&self) -> SearchServiceClient<PeerChannel> {
        SearchServiceClient::new(self.app.peer("search", &self.context))
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    /// A list of this tenant under these filters.
    pub(crate) fn list<'a>(&'a self, list: &'static str, filters: &'a str) -> List<'a> {
        let place = Place { tenant: self.session.principal.tenant, list, filters };
        List { cursors: &self.app.0.cursors, place }
    }
}

/// One list, whose cursors are good nowhere else.
pub(crate) struct List<'a> {
    cursors: &'a Cursors,
    place: Place<'a>,
}

impl List<'_> {
    /// The page that was asked for, in the service's words.
    pub(crate) fn page(
        &self,
        limit: PageLimit,
        after: Option<&str>,
    ) -> Result<Option<lethe_proto::request::Page>, Problem> {
        self.cursors.page(&self.place, limit, after).map(Some)
    }

    /// The cursor of the next page.
    pub(crate) fn next(&self, next: &[u8]) -> Option<String> {
        self.cursors.seal(&self.place, next)
    }
}
