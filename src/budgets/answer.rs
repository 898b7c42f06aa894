//! The addresses that a gateway asks before a call. Answered from memory: nothing here waits for anything.
//!
//! | path | answers |
//! |---|---|
//! | `GET /v1/budget/NAME` | where a budget stands; `?tenant=…&feature=…&user=…` say which account, where it has several |
//! | `GET /v1/budget?tenant=…&feature=…&user=…` | every budget that a call for these would count toward, the tightest hint on top |
//!
//! On loopback anyone of this machine may ask. On any other address an API key is needed: an operator's may ask of
//! everyone, one that is bound to a tenant of that tenant alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use billing::budget::Standing;
use chrono::{DateTime, Utc};
use collector::keys::KeyStore;
use domain::budget::{Account, Budget, Decision, Whose};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::watch::{Known, instant};
use crate::console::is_of_this_machine;

/// Older answers are called stale, in milliseconds: several looks at the ledger failed by then.
const FRESH_MILLIS_MAX: i64 = 30_000;

/// What answers need.
#[derive(Clone)]
pub struct BudgetDesk {
    /// What is known.
    pub known: watch::Receiver<Known>,
    /// The currency they are in.
    pub currency: String,
    /// The keys that may ask.
    pub keys: KeyStore,
    /// Whether a key is needed.
    pub needs_key: bool,
}

/// Whom a call would be for.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    tenant: Option<String>,
    feature: Option<String>,
    user: Option<String>,
}

/// What a request may ask of: everyone, or one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum May {
    Everyone,
    Tenant(String),
}

impl BudgetDesk {
    /// Its routes.
    pub fn router(self) -> axum::Router {
        axum::Router::new()
            .route("/v1/budget", get(of_call))
            .route("/v1/budget/{name}", get(of_name))
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }

    /// The budgets in force.
    fn budgets(&self) -> Arc<Vec<Budget>> {
        Arc::clone(&self.known.borrow().budgets)
    }

    /// What a request may ask of, or the answer to one that may ask nothing.
    fn may(&self, headers: &HeaderMap) -> Result<May, (StatusCode, &'static str)> {
        if !self.needs_key {
            let text = "budgets answer requests of this machine that name it by address or as localhost";
            let here = is_of_this_machine(headers);
            return if here { Ok(May::Everyone) } else { Err((StatusCode::FORBIDDEN, text)) };
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let stamp = bearer.or(text("x-api-key")).and_then(|key| self.keys.lookup(key.trim())).ok_or((
            StatusCode::UNAUTHORIZED,
            "an API key is needed on this address: authorization: Bearer KEY, or x-api-key: KEY",
        ))?;
        let text = "this key may not ask of budgets; an operator's may, or one that is bound to a tenant";
        match stamp.tenant {
            _ if stamp.operator => Ok(May::Everyone),
            Some(tenant) => Ok(May::Tenant(tenant)),
            None => Err((StatusCode::FORBIDDEN, text)),
        }
    }

    fn document(&self, budget: &Budget, account: &Account, now: DateTime<Utc>) -> Value {
        let known = self.known.borrow().clone();
        let standing = known.view.as_ref().map(|view| view.standing(budget, account, now));
        let lag = known.view.as_ref().map(|view| (now - view.as_of()).num_milliseconds().max(0));
        let fresh = lag.is_some_and(|millis| millis <= FRESH_MILLIS_MAX);
        let mut document = json!({
            "budget": budget.name,
            "tenant": said(&budget.scope.tenant, &account.tenant),
            "feature": said(&budget.scope.feature, &account.feature),
            "user": said(&budget.scope.user, &account.user),
            "per": budget.per.name(),
            "of": budget.of.name(),
            "currency": self.currency,
            "limit": budget.limit.to_string(),
            "as_of": known.view.as_ref().map(|view| instant(view.as_of())),
            "lag_seconds": lag.map(seconds),
            "fresh": fresh,
            "trouble": known.trouble,
        });
        let figures = match &standing {
            Some(standing) => figures(budget, standing),
            // Nothing is known yet, which is not nothing spent.
            None => json!({
                "window": null, "spent": null, "pending": null, "remaining": null, "unpriced_calls": null,
                "reached_percent": null, "used_up_at": null, "decision": "unknown",
            }),
        };
        if let (Value::Object(document), Value::Object(figures)) = (&mut document, figures) {
            document.extend(figures);
        }
        document
    }
}

fn figures(budget: &Budget, standing: &Standing) -> Value {
    let window = standing.window;
    json!({
        "window": {"from": instant(window.from()), "to": instant(window.to())},
        "spent": standing.spent.to_string(),
        "pending": standing.pending.map(|pending| {
            json!({"amount": pending.amount.to_string(), "calls": pending.calls, "estimated": true})
        }),
        "remaining": (budget.limit - standing.spent).to_string(),
        "unpriced_calls": standing.unpriced_calls,
        "reached_percent": budget.reached(standing.spent).last(),
        "used_up_at": standing.used_up_at.map(instant),
        "decision": standing.decision(budget).name(),
    })
}

/// Seconds to the millisecond; not money.
fn seconds(millis: i64) -> Value {
    serde_json::from_str(&format!("{}.{:03}", millis / 1_000, millis % 1_000)).unwrap_or(Value::Null)
}

/// A dimension that the budget does not ask for is null; one without a value is empty.
fn said(whose: &Whose, value: &str) -> Option<String> {
    (*whose != Whose::Anyone).then(|| value.to_string())
}

async fn guard(State(desk): State<BudgetDesk>, mut request: Request, next: Next) -> Response {
    match desk.may(request.headers()) {
        Ok(may) => {
            request.extensions_mut().insert(may);
            let mut response = next.run(request).await;
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            response
        }
        Err((status, text)) => refused(status, text),
    }
}

async fn of_name(
    State(desk): State<BudgetDesk>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    axum::Extension(may): axum::Extension<May>,
) -> Response {
    let budgets = desk.budgets();
    let Some(budget) = budgets.iter().find(|budget| budget.name == name) else {
        let names: Vec<&str> = budgets.iter().map(|budget| budget.name.as_str()).collect();
        let known = match (&may, names.as_slice()) {
            (May::Tenant(_), _) => String::new(),
            (May::Everyone, []) => "; none is configured, see docs/budgets.md".to_string(),
            (May::Everyone, names) => format!("; there are {}", names.join(", ")),
        };
        return refused(StatusCode::NOT_FOUND, &format!("there is no budget named {name:?}{known}"));
    };
    let [tenant, feature, user] = [&asked.tenant, &asked.feature, &asked.user].map(|text| text.as_deref());
    let Some(account) = budget.scope.account(tenant, feature, user) else {
        let text =
            format!("budget {name:?} has no such account; say which by {}", missing(budget).join(", "));
        return refused(StatusCode::NOT_FOUND, &text);
    };
    if !may.see(&account) {
        return refused(StatusCode::FORBIDDEN, "this key may ask of its own tenant's budgets alone");
    }
    Json(desk.document(budget, &account, Utc::now())).into_response()
}

async fn of_call(
    State(desk): State<BudgetDesk>,
    Query(mut asked): Query<Asked>,
    axum::Extension(may): axum::Extension<May>,
) -> Response {
    if let May::Tenant(own) = &may {
        asked.tenant.get_or_insert_with(|| own.clone());
    }
    // What is not said is nothing: a call without a feature counts toward no feature's budget.
    let [tenant, feature, user] =
        [&asked.tenant, &asked.feature, &asked.user].map(|text| Some(text.as_deref().unwrap_or_default()));
    let now = Utc::now();
    let mut tightest = Decision::Allow;
    let (mut documents, mut unknown) = (Vec::new(), false);
    for budget in desk.budgets().iter() {
        let Some(account) = budget.scope.account(tenant, feature, user).filter(|account| may.see(account))
        else {
            continue;
        };
        let document = desk.document(budget, &account, now);
        match document["decision"].as_str() {
            Some("deny") => tightest = Decision::Deny,
            Some("warn") if tightest == Decision::Allow => tightest = Decision::Warn,
            Some("unknown") => unknown = true,
            _ => {}
        }
        documents.push(document);
    }
    let decision = if unknown && tightest != Decision::Deny { "unknown" } else { tightest.name() };
    Json(json!({"decision": decision, "budgets": documents})).into_response()
}

impl May {
    fn see(&self, account: &Account) -> bool {
        match self {
            Self::Everyone => true,
            Self::Tenant(own) => account.tenant == *own,
        }
    }
}

/// What must be said to name an account.
fn missing(budget: &Budget) -> Vec<String> {
    let scope = &budget.scope;
    [("tenant", &scope.tenant), ("feature", &scope.feature), ("user", &scope.user)]
        .into_iter()
        .filter_map(|(name, whose)| match whose {
            Whose::Anyone => None,
            Whose::Each => Some(format!("?{name}=…")),
            Whose::One(one) => Some(format!("?{name}={one}")),
        })
        .collect()
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use collector::keys::NewKey;

    use super::*;

    #[test]
    fn beyond_loopback_an_operators_key_asks_of_everyone_and_a_tenants_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyStore::open(dir.path()).unwrap();
        let create = |name: &str, tenant: Option<&str>, operator| {
            let key = NewKey {
                name: name.into(),
                tenant: tenant.map(str::to_string),
                operator,
                ..NewKey::default()
            };
            keys.create(key).unwrap().secret.reveal().to_string()
        };
        let secrets =
            [create("gateway", None, true), create("acme", Some("acme"), false), create("any", None, false)];
        let (_, known) = watch::channel(Known::default());
        let desk = BudgetDesk {
            known,
            currency: "USD".into(),
            keys: KeyStore::open(dir.path()).unwrap(),
            needs_key: true,
        };
        let of = |name: &'static str, value: &str| {
            let header = [(header::HeaderName::from_static(name), value.parse().unwrap())];
            desk.may(&header.into_iter().collect()).map_err(|(status, _)| status.as_u16())
        };
        let acme = May::Tenant("acme".into());
        assert_eq!(of("authorization", &format!("Bearer {}", secrets[0])), Ok(May::Everyone));
        assert_eq!(of("x-api-key", &secrets[1]), Ok(acme.clone()));
        assert_eq!(of("x-api-key", &secrets[2]), Err(403));
        assert_eq!((of("x-api-key", "guessed"), of("host", "127.0.0.1:4319")), (Err(401), Err(401)));
        let on = |tenant: &str| Account { tenant: tenant.into(), ..Account::default() };
        assert!(acme.see(&on("acme")) && !acme.see(&on("globex")) && !acme.see(&on("")));
    }
}
