//! The doors of a node: which listeners its roles need, and what stands behind each.

use crate::admin::guard::Guard;
use crate::admin::health::Health;
use crate::admin::{self, health};
use crate::house::House;
use crate::listen::{ConnectionLimits, Cors, Listener, Socket, Tls, behind, bound_requests};
use crate::roles::Roles;
use crate::settings::Settings;
use crate::telemetry::Prometheus;
use anyhow::{Result, anyhow};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use ledger::{Problem, Role};
use std::net::SocketAddr;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// What the doors are made from.
pub(crate) struct Doors<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) roles: &'a Roles,
    pub(crate) health: Health,
    pub(crate) prometheus: Prometheus,
}

impl Doors<'_> {
    /// Binds what the roles need. The admin listener is always there, for health and metrics.
    pub(crate) async fn open(self, house: &mut House) -> Result<Vec<Listener>> {
        let listen = &self.settings.listen;
        let mut open = Vec::new();
        let api = self.admin_api(house);
        let has_callers =
            self.answers_relying_parties() || self.takes_first_uses() || self.hears_of_logouts();
        if self.roles.any(&[Role::Token, Role::Ingest]) || has_callers {
            open.push(self.listener("public", listen.public, self.public(house)?).await?);
        }
        if self.roles.any(&[Role::Verify, Role::Refresh]) {
            let service = self.listener("service", listen.service, self.service(house)).await?;
            open.push(Listener { tls: listen.service_tls.as_ref().map(Tls::new).transpose()?, ..service });
        }
        open.push(self.listener("admin", listen.admin, self.admin(house, api.clone())).await?);
        if let Some(path) = self.settings.admin_socket() {
            open.push(Listener {
                name: "admin_socket",
                socket: Socket::unix(&path)?,
                routes: health::routes(self.health.clone()).fallback_service(api),
                limits: ConnectionLimits::from(&listen.limits),
                tls: None,
            });
        }
        Ok(open)
    }

    /// Whoever delivers publishes the keys, too.
    fn answers_relying_parties(&self) -> bool {
        self.settings.broker.is_some() && self.roles.any(&[Role::Deliver])
    }

    /// Clients themselves bring their first use.
    fn takes_first_uses(&self) -> bool {
        let accounts = self.settings.bearer.as_ref().and_then(|bearer| bearer.accounts.as_ref());
        accounts.is_some() && self.roles.any(&[Role::Verify])
    }

    /// Identity providers say who signed out there.
    fn hears_of_logouts(&self) -> bool {
        self.settings.sessions.is_some() && self.roles.any(&[Role::Refresh])
    }

    async fn listener(&self, name: &'static str, address: SocketAddr, routes: Router) -> Result<Listener> {
        let limits = ConnectionLimits::from(&self.settings.listen.limits);
        Ok(Listener { name, socket: Socket::tcp(address).await?, routes, limits, tls: None })
    }

    /// Anybody may ask; pages of other origins too, as configured.
    fn public(&self, house: &mut House) -> Result<Router> {
        let routes = merged(house.capabilities.iter_mut().map(|it| std::mem::take(&mut it.public)));
        let cors = Cors::new(&self.settings.listen.cors).map_err(|why| anyhow!(why))?;
        // The Tokenserver says itself what is not there: sync clients read it.
        let routes =
            if self.settings.tokenserver.is_some() { routes } else { routes.fallback(nothing_public) };
        let routes = cors.around(self.bounded(routes, self.body_bytes()));
        Ok(behind(&self.settings.listen.trusted_proxies, routes))
    }

    /// Only callers with a service token, or with a certificate that stands for one.
    fn service(&self, house: &mut House) -> Router {
        let routes = merged(house.capabilities.iter_mut().map(|it| std::mem::take(&mut it.service)));
        let routes = self.bounded(routes.fallback(nothing_here), self.body_bytes());
        let routes = routes.layer(map_response(Problem::in_place_of));
        Guard::new(house.callers.clone(), keys::Listener::Service).before(routes)
    }

    /// Health for everybody; the rest for callers with an admin token, and without the admin's role only metrics.
    fn admin(&self, house: &House, api: Router) -> Router {
        let api = if self.roles.any(&[Role::Admin]) { api } else { self.metrics(Router::new()) };
        let guarded = Guard::new(house.callers.clone(), keys::Listener::Admin).before(api);
        health::routes(self.health.clone()).fallback_service(guarded)
    }

    /// The whole admin API, with no question asked who calls.
    fn admin_api(&self, house: &mut House) -> Router {
        self.metrics(house.admin_api())
    }

    fn metrics(&self, routes: Router) -> Router {
        let routes = admin::with_metrics(routes, self.prometheus.clone()).fallback(nothing_here);
        let routes = self.bounded(routes, self.settings.listen.limits.admin_body_bytes);
        // Around all of it: what the router and the limits say in plain text are problems too.
        routes.layer(map_response(Problem::in_place_of))
    }

    fn bounded(&self, routes: Router, bytes: usize) -> Router {
        bound_requests(routes, bytes, Duration::from_secs(self.settings.listen.limits.body_seconds))
    }

    fn body_bytes(&self) -> usize {
        self.settings.listen.limits.body_bytes
    }
}

fn merged(routers: impl Iterator<Item = OpenApiRouter>) -> Router {
    routers.fold(OpenApiRouter::new(), OpenApiRouter::merge).split_for_parts().0
}

async fn nothing_public() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn nothing_here() -> Problem {
    Problem::not_found(
        "there is nothing at this path; GET /openapi.json on the admin listener describes what there is",
    )
}
