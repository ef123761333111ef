//! What stands between the nodes and a flood of identities that were never here: budgets for new users, by client address,
//! by identity provider, and in all. Whoever has a row never meets it.
//!
//! Addresses are anybody's to choose, so what is kept of them is bounded: each leads to one cell in each of two rows, by
//! a hash whose key nobody knows, and what it has used is at most the lesser of the two. Who shares both cells with another
//! one shares the budget.

use crate::Refusal;
use crate::refusal::Held;
use crate::rules::{Budget, Whole};
use crate::settings::NewUserSettings;
use account::{IdpId, Millis};
use metrics::{Counter, counter};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Cells in each row: both are half a megabyte.
const CELLS: usize = 1 << 15;

/// The budgets of this process.
pub(crate) struct Guard {
    address: Option<Budget>,
    idp: Option<Budget>,
    total: Option<Budget>,
    /// Of the two rows.
    keys: [RandomState; 2],
    used: Mutex<Used>,
    held: [Counter; 3],
}

#[derive(Default)]
struct Used {
    /// The two rows, one behind the other; none where addresses have no budget.
    addresses: Vec<Whole>,
    idps: BTreeMap<IdpId, Whole>,
    total: Whole,
}

impl Guard {
    pub(crate) fn new(settings: &NewUserSettings) -> Self {
        let address = Budget::new(settings.per_address_per_hour, Duration::from_hours(1));
        let cells = if address.is_some() { 2 * CELLS } else { 0 };
        let held = |reason: &'static str| counter!("new_users.held", "reason" => reason);
        Self {
            address,
            idp: Budget::new(settings.per_idp_per_minute, Duration::from_mins(1)),
            total: Budget::new(settings.per_minute, Duration::from_mins(1)),
            keys: [RandomState::new(), RandomState::new()],
            used: Mutex::new(Used { addresses: vec![Whole::default(); cells], ..Used::default() }),
            held: [held("address"), held("idp"), held("total")],
        }
    }

    /// Takes one from each budget; from none when one of them is used up.
    pub(crate) fn admit(&self, address: Option<IpAddr>, idp: &IdpId, now: Millis) -> Result<(), Refusal> {
        let cells = address.map(|address| self.cells(address));
        let mut used = self.used.lock();
        let of_address = match (self.address, cells) {
            (Some(budget), Some([a, b])) => {
                let least = used.addresses[a].min(used.addresses[b]);
                Some(budget.take(least, now).map_err(|wait| self.hold(Held::Address, wait))?)
            }
            _ => None,
        };
        let of_idp = match self.idp {
            Some(budget) => {
                let whole = used.idps.get(idp).copied().unwrap_or_default();
                Some(budget.take(whole, now).map_err(|wait| self.hold(Held::Idp, wait))?)
            }
            None => None,
        };
        if let Some(budget) = self.total {
            used.total = budget.take(used.total, now).map_err(|wait| self.hold(Held::Total, wait))?;
        }
        if let Some(whole) = of_idp {
            used.idps.insert(idp.clone(), whole);
        }
        if let (Some(whole), Some(cells)) = (of_address, cells) {
            for cell in cells {
                used.addresses[cell] = used.addresses[cell].max(whole);
            }
        }
        Ok(())
    }

    fn hold(&self, held: Held, wait: Duration) -> Refusal {
        self.held[held as usize].increment(1);
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Refusal::NewUserHeld { held, retry_after: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) }
    }

    fn cells(&self, address: IpAddr) -> [usize; 2] {
        let network = network(address);
        let cell = |row: usize| {
            let hash = self.keys[row].hash_one(network);
            row * CELLS + usize::try_from(hash % CELLS as u64).expect("below the number of cells")
        };
        [cell(0), cell(1)]
    }
}

/// What one client has for itself: an IPv4 address, or the /64 that every IPv6 host can choose from.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        // In a range of its own, where no /64 begins.
        IpAddr::V4(address) => u128::from(address.to_bits()) | 1 << 32,
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::new(1_789_000_000_000);

    fn guard(per_address: u32, per_idp: u32, total: u32) -> Guard {
        Guard::new(&NewUserSettings {
            per_address_per_hour: per_address,
            per_idp_per_minute: per_idp,
            per_minute: total,
            ..NewUserSettings::default()
        })
    }

    fn idp(name: &str) -> IdpId {
        IdpId::new(name).expect("valid")
    }

    fn admitted(guard: &Guard, address: &str, name: &str, tries: usize) -> usize {
        let address = address.parse().expect("an address");
        (0..tries).filter(|_| guard.admit(Some(address), &idp(name), NOW).is_ok()).count()
    }

    #[test]
    fn without_budgets_nobody_is_held() {
        let guard = guard(0, 0, 0);
        assert_eq!(admitted(&guard, "192.0.2.1", "main", 1000), 1000);
        assert!(guard.used.lock().addresses.is_empty());
    }

    #[test]
    fn each_address_has_a_budget_of_its_own_and_each_network_of_an_ipv6_host() {
        let guard = guard(3, 0, 0);
        assert_eq!(admitted(&guard, "192.0.2.1", "main", 10), 3);
        assert_eq!(admitted(&guard, "::ffff:192.0.2.1", "main", 10), 0, "the same one, written otherwise");
        assert_eq!(admitted(&guard, "192.0.2.2", "main", 10), 3);
        assert_eq!(admitted(&guard, "2001:db8::1", "main", 2), 2);
        assert_eq!(admitted(&guard, "2001:db8::ffff:1", "main", 10), 1, "of the same /64");
        assert_eq!(admitted(&guard, "2001:db8:0:1::1", "main", 10), 3);
        let refusal = guard.admit(Some("192.0.2.1".parse().expect("an address")), &idp("main"), NOW);
        assert_eq!(refusal, Err(Refusal::NewUserHeld { held: Held::Address, retry_after: 1200 }));
    }

    #[test]
    fn who_is_held_by_one_budget_uses_up_no_other() {
        let guard = guard(2, 10, 15);
        assert_eq!(admitted(&guard, "192.0.2.1", "main", 1000), 2);
        let others = (2..100).filter(|n| admitted(&guard, &format!("192.0.2.{n}"), "main", 1) == 1).count();
        assert_eq!(others, 8, "what the attack has left of ten");
        let elsewhere =
            (1..100).filter(|n| admitted(&guard, &format!("192.0.3.{n}"), "other", 1) == 1).count();
        assert_eq!(elsewhere, 5, "the other provider's, up to what is taken in all");
    }

    #[test]
    fn an_attack_from_many_addresses_leaves_the_others_their_cells() {
        let guard = guard(1, 0, 0);
        for n in 0..500_u32 {
            admitted(&guard, &format!("10.0.{}.{}", n >> 8, n & 255), "main", 2);
        }
        let honest = (0..1000_u32)
            .filter(|n| admitted(&guard, &format!("172.16.{}.{}", n >> 8, n & 255), "main", 1) == 1);
        // 1500 networks in 32768 cells: both of one's cells are another's for about one in a thousand.
        assert!(honest.count() >= 980);
        assert_eq!(guard.used.lock().addresses.len(), 2 * CELLS, "and no more is kept of them");
    }
}
