//! What the sources hand the binary.

use crate::admin::{Desk, routes};
use crate::door::{Door, SOURCE as SET};
use crate::health::Health;
use crate::http::public_routes;
use crate::meters::Freshness;
use crate::pump::Pump;
use crate::remit::{Authority, Remit};
use crate::settings::{InvalidSettings, Settings};
use crate::sources::sqs::{SqsSettings, SqsSource};
use account::IdpId;
use idp::Idps;
use ledger::{Capability, Ledger, Role, SourceId, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The source of whatever comes as a file.
const FILE: &str = "file";
/// The same for one whose events are another identity provider's than the first one's; the id follows.
const FILE_OF: &str = "file:";

/// Names that no queue can have: tokens, files, and what operators do.
const TAKEN: [&str; 3] = [SET, FILE, SourceId::OPERATOR];

/// What the binary gets.
pub struct Ingest {
    /// Routes and workers.
    pub capability: Capability,
    /// The sources that run, by name, each with what can be asked how it is.
    pub sources: BTreeMap<String, Health>,
}

/// Puts the sources together. Nothing is asked of the network yet.
pub fn capability(settings: &Settings, ledger: &Ledger, idps: &Idps) -> Result<Ingest, InvalidSettings> {
    let mut desk = Desk {
        ledger: ledger.clone(),
        door: Arc::new(Door::new(ledger, idps.clone())),
        home: idps.default_idp().id().clone(),
        files: idps.iter().map(|idp| (idp.id().clone(), file_pump(ledger, idps, idp.id()))).collect(),
        queues: BTreeMap::new(),
        sources: BTreeMap::new(),
    };
    let mut workers = Vec::new();
    for queue in &settings.sqs {
        // As the ledger knows it.
        let name = SourceId::new(&queue.name).as_str().to_owned();
        if TAKEN.contains(&name.as_str()) || name.starts_with(FILE_OF) || desk.sources.contains_key(&name) {
            return Err(InvalidSettings::Name(name));
        }
        let source = SqsSource::new(queue.clone(), queue_pump(ledger, idps, queue)?)
            .map_err(|error| InvalidSettings::Sqs { name: name.clone(), error })?;
        desk.sources.insert(name.clone(), source.health());
        desk.queues.insert(name, Arc::new(queue_pump(ledger, idps, queue)?));
        workers.push(Worker::new("ingest.sqs", Some(Role::Ingest), move |stop| source.run(stop)));
    }
    let (public, sources) = (public_routes(&desk.door, settings), desk.sources.clone());
    let admin = routes(Arc::new(desk));
    Ok(Ingest {
        capability: Capability { name: "ingest", public, admin, workers, ..Capability::default() },
        sources,
    })
}

/// Whoever reads a file in is an operator: it may speak for everybody. One file read for two identity providers is two
/// sources: its events are about other accounts then.
fn file_pump(ledger: &Ledger, idps: &Idps, home: &IdpId) -> Arc<Pump> {
    let (own, others): (Vec<_>, Vec<_>) =
        idps.iter().map(|idp| Authority::from(&**idp)).partition(|authority| authority.id == *home);
    let source = if home == idps.default_idp().id() { FILE.to_owned() } else { format!("{FILE_OF}{home}") };
    let home = own.into_iter().next().expect("the home is one of the identity providers");
    Arc::new(Pump::new(ledger.clone(), SourceId::new(&source), Remit::new(home, others), Freshness::Any))
}

fn queue_pump(ledger: &Ledger, idps: &Idps, queue: &SqsSettings) -> Result<Pump, InvalidSettings> {
    let authority = |id: &IdpId| {
        let unknown = || InvalidSettings::UnknownIdp { name: queue.name.clone(), idp: id.clone() };
        idps.by_id(id).map(|idp| Authority::from(&**idp)).ok_or_else(unknown)
    };
    let others = queue.also_idps.iter().map(authority).collect::<Result<_, _>>()?;
    let remit = Remit::new(authority(&queue.idp)?, others);
    Ok(Pump::new(ledger.clone(), SourceId::new(&queue.name), remit, Freshness::Live))
}
