//! Whether what was taken in is in the ledger.

use crate::serve::house::IDP;
use account::{AccountId, IdpId, Subject};
use anyhow::{Context, Result, ensure};
use ledger::Ledger;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Of the accounts, one in so many is looked up.
const SAMPLE: usize = 97;

#[derive(Deserialize)]
struct Event {
    uid: String,
    generation: i64,
}

/// Whether accounts stand where the last of their events put them.
pub(super) async fn marks(ledger: &Ledger, path: &Path) -> Result<()> {
    let idp = IdpId::new(IDP)?;
    for (uid, last) in last_changes(path)?.into_iter().step_by(SAMPLE) {
        let account = AccountId::new(idp.clone(), Subject::new(&uid)?);
        let standing =
            ledger.standing(&account).await?.with_context(|| format!("{uid} is not in the ledger"))?;
        ensure!(standing.credential_at.get() == last, "{uid} stands at {standing:?}, not at {last}");
    }
    Ok(())
}

fn last_changes(path: &Path) -> Result<HashMap<String, i64>> {
    let mut last = HashMap::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let Event { uid, generation } = serde_json::from_str(&line?)?;
        last.insert(uid, generation);
    }
    Ok(last)
}
