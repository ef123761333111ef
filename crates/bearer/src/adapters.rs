//! What reverse proxies say of a request that they ask about, and how they are answered; pure.
//!
//! | proxy | the original request | answers it understands |
//! |---|---|---|
//! | nginx `auth_request` | `X-Original-Method`, `X-Original-URI`, `X-Original-Host` | 2xx, 401, 403; whatever else in a header |
//! | Traefik ForwardAuth | `X-Forwarded-Method`, `-Uri`, `-Host` | any status |
//! | Caddy `forward_auth` | `X-Forwarded-Method`, `-Uri`, `-Host` | any status |
//! | Envoy HTTP `ext_authz` | the request itself, below a path prefix | 200 and below 500; its own word for 5xx |
//! | Envoy gRPC `ext_authz` | a `CheckRequest` | a `CheckResponse`, with any status |
//!
//! A proxy's own headers are read and no others: a client could have written those. Each must be there once; a proxy that
//! lets a client's through besides its own is not set up right, and nothing is allowed through it.

pub(crate) mod grpc;
mod identity;
mod original;
mod proxy;

pub use identity::{Identity, Spoofed, refuse_spoofed};
pub use original::{NotTold, Original};
pub use proxy::Proxy;
