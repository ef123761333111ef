//! Seals anew what a retiring key sealed, and forgets the key when nothing is left.

use crate::GrantId;
use crate::capability::Inner;
use crate::sealing::{Field, record};
use crate::store::reseal::{
    Anew, FindOld, FindOldRevocations, IsUsed, Old, RevocationAnew, WriteAnew, WriteRevocationsAnew,
};
use keys::CannotOpen;
use store::StoreError;

/// A chunk; whether there may be more.
pub(super) async fn reseal(inner: &Inner) -> Result<bool, StoreError> {
    let retiring: Vec<i64> =
        inner.keys.list().into_iter().filter(|key| key.state != "active").map(|key| key.id).collect();
    let (Some(active), false) = (inner.keys.active(), retiring.is_empty()) else { return Ok(false) };
    if chunk(inner, active).await? | revocations(inner, active).await? {
        return Ok(true);
    }
    for key in retiring {
        if !inner.store.scan(IsUsed(key)).await? && inner.keys.forget(key).await? {
            tracing::info!(key, "nothing is sealed with a retired key any more: it is forgotten");
        }
    }
    Ok(false)
}

async fn chunk(inner: &Inner, active: i64) -> Result<bool, StoreError> {
    let mut after = String::new();
    loop {
        let found = inner.store.scan(FindOld { active, after }).await?;
        let Some(last) = found.last() else { return Ok(false) };
        after = last.id.to_string();
        let mut anew = Vec::new();
        for old in &found {
            anew.extend(sealed_anew(inner, old).await?);
        }
        // What does not open is passed over: it is no reason to leave the rest.
        if !anew.is_empty() {
            inner.store.run(WriteAnew(anew)).await?;
            return Ok(true);
        }
    }
}

/// The same under the active key; `None` when something of it does not open.
async fn sealed_anew(inner: &Inner, old: &Old) -> Result<Option<Anew>, StoreError> {
    let Old { id, generation, access_token, refresh_token, dpop_key, id_token } = old;
    let fields = [
        (Field::AccessToken, Some(access_token)),
        (Field::RefreshToken, refresh_token.as_ref()),
        (Field::DpopKey, dpop_key.as_ref()),
        (Field::IdToken, id_token.as_ref()),
    ];
    let anew = all_again(inner, id, *generation, fields).await?;
    let Some([access_token, refresh_token, dpop_key, id_token]) = anew else { return Ok(None) };
    Ok(access_token.map(|access_token| Anew {
        id: id.clone(),
        generation: *generation,
        old: old.access_token.clone(),
        access_token,
        refresh_token,
        dpop_key,
        id_token,
    }))
}

async fn revocations(inner: &Inner, active: i64) -> Result<bool, StoreError> {
    let found = inner.store.scan(FindOldRevocations(active)).await?;
    let mut anew = Vec::new();
    for old in found {
        let fields = [
            (Field::RefreshToken, old.refresh_token.as_ref()),
            (Field::AccessToken, old.access_token.as_ref()),
        ];
        let sealed = all_again(inner, &old.grant, old.generation, fields).await?;
        let id = old.id;
        anew.extend(sealed.map(|[token, access_token]| RevocationAnew { id, token, access_token }));
    }
    if anew.is_empty() {
        return Ok(false);
    }
    inner.store.run(WriteRevocationsAnew(anew)).await?;
    Ok(true)
}

/// All that is there of a grant's, under the active key; `None` when something of it does not open.
async fn all_again<const N: usize>(
    inner: &Inner,
    grant: &GrantId,
    generation: i64,
    fields: [(Field, Option<&String>); N],
) -> Result<Option<[Option<String>; N]>, StoreError> {
    let mut anew = [const { None }; N];
    for (slot, (field, sealed)) in anew.iter_mut().zip(fields) {
        let Some(sealed) = sealed else { continue };
        *slot = again(inner, grant, generation, field, sealed).await?;
        if slot.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(anew))
}

/// The same under the active key; `None` when it does not open.
async fn again(
    inner: &Inner,
    grant: &GrantId,
    generation: i64,
    field: Field,
    sealed: &str,
) -> Result<Option<String>, StoreError> {
    let record = record(grant, generation, field);
    match inner.keys.open(&record, sealed).await {
        Ok(plain) => Ok(inner.keys.seal(&record, &plain).ok()),
        Err(CannotOpen::Store(error)) => Err(error),
        Err(error) => {
            metrics::counter!("sessions.decrypt_failures").increment(1);
            tracing::error!(%grant, %error, "a token does not open, and cannot be sealed anew");
            Ok(None)
        }
    }
}
