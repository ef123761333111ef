//! What a node does. By default all of it; `--roles` picks.

use crate::cli::RoleName;
use ledger::Role;

const ALL: [Role; 6] = [Role::Token, Role::Verify, Role::Ingest, Role::Deliver, Role::Refresh, Role::Admin];

/// The roles of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

impl Roles {
    /// The picked ones; all when none was picked.
    pub(crate) fn picked(names: &[RoleName]) -> Self {
        let picked: Vec<Role> = names.iter().map(|name| role(*name)).collect();
        Self(if picked.is_empty() { ALL.to_vec() } else { picked })
    }

    /// Whether this node has any of them.
    pub(crate) fn any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.0.contains(role))
    }

    /// Whether a worker of that role runs here; one without a role runs everywhere.
    pub(crate) fn include(&self, role: Option<Role>) -> bool {
        role.is_none_or(|role| self.any(&[role]))
    }
}

fn role(name: RoleName) -> Role {
    match name {
        RoleName::Token => Role::Token,
        RoleName::Verify => Role::Verify,
        RoleName::Ingest => Role::Ingest,
        RoleName::Deliver => Role::Deliver,
        RoleName::Refresh => Role::Refresh,
        RoleName::Admin => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_does_everything_unless_roles_are_picked() {
        let all = Roles::picked(&[]);
        assert!(ALL.iter().all(|role| all.include(Some(*role))));
        let token = Roles::picked(&[RoleName::Token]);
        assert!(token.include(Some(Role::Token)) && token.include(None));
        assert!(!token.include(Some(Role::Admin)));
    }
}
