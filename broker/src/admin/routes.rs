//! What is answered to which request.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;

use super::Subject;
use super::health::Unhealthy;
use crate::metrics::exposition::{self, Sources};
use crate::metrics::process::ProcessStats;
use crate::metrics::survey::Survey;

const TEXT: &str = "text/plain; charset=utf-8";
const INDEX: &str = "\
GET /metrics        for Prometheus\n\
GET /health/live    200 if the data plane moves, 503 and why if not\n\
GET /health/ready   200 if clients are served, 503 and why if not\n\
GET /log/level      what is logged\n\
PUT /log/level      logs something else until the next start: info, or info,klamm_storage=debug\n";

/// A new log level; longer ones are refused.
const BODY_BYTES_MAX: usize = 4096;
/// How long the data plane may think about a survey; after that the last one is shown.
const SURVEY_LIMIT: Duration = Duration::from_millis(500);

/// See the [module](self).
pub(super) struct Routes {
    subject: Subject,
    survey: RefCell<Survey>,
}

type Answer = Response<Full<Bytes>>;

impl Routes {
    pub(super) fn new(subject: Subject) -> Self {
        Self {
            subject,
            survey: RefCell::default(),
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let now = self.subject.clock.now();
        let health = &self.subject.health;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/metrics" if is_read => self.metrics().await,
            "/health/live" if is_read => of_health(health.live(now)),
            "/health/ready" if is_read => of_health(health.ready(now)),
            "/log/level" if is_read => {
                text(StatusCode::OK, format!("{}\n", self.subject.log.level()))
            }
            "/log/level" if request.method() == Method::PUT => {
                self.set_log_level(request.into_body()).await
            }
            "/" if is_read => text(StatusCode::OK, INDEX),
            "/log/level" => not_allowed("GET, HEAD, PUT"),
            "/" | "/metrics" | "/health/live" | "/health/ready" => not_allowed("GET, HEAD"),
            _ => text(
                StatusCode::NOT_FOUND,
                format!("not here; what is:\n{INDEX}"),
            ),
        }
    }

    async fn metrics(&self) -> Answer {
        let survey = self.survey().await;
        let Subject {
            clock,
            health,
            counters,
            started_at,
            ..
        } = &self.subject;
        let now = clock.now();
        let sources = Sources {
            counters: counters.clone(),
            survey,
            process: ProcessStats::read(),
            is_ready: health.ready(now).is_ok(),
            heartbeat_age: health.heartbeat_age(now),
            started_at_seconds: started_at.millis() as f64 / 1_000.0,
        };
        match sources.expose() {
            Ok(metrics) => answer(StatusCode::OK, exposition::CONTENT_TYPE, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// Asks the data plane, if it is there and moves; otherwise what it last said.
    async fn survey(&self) -> Survey {
        if self.subject.health.phase().serves() {
            let asked = tokio::time::timeout(SURVEY_LIMIT, self.ask()).await;
            if let Ok(Some(survey)) = asked {
                self.survey.replace(survey);
            }
        }
        self.survey.borrow().clone()
    }

    async fn ask(&self) -> Option<Survey> {
        let (question, answer) = oneshot::channel();
        self.subject.questions.send(question).await.ok()?;
        answer.await.ok()
    }

    async fn set_log_level(&self, body: Incoming) -> Answer {
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return text(StatusCode::BAD_REQUEST, "the body is too long, or broken\n");
        };
        let body = body.to_bytes();
        let Ok(level) = std::str::from_utf8(&body) else {
            return text(StatusCode::BAD_REQUEST, "the level is no text\n");
        };
        match self.subject.log.set_level(level) {
            Ok(level) => text(StatusCode::OK, format!("{level}\n")),
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }
}

fn of_health(health: Result<(), Unhealthy>) -> Answer {
    match health {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("only {methods} are answered here\n"),
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
