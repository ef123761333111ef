use serde::Deserialize;

/// The section `tokenserver.new_users`: what holds back a flood of identities that were never here. Each process counts for
/// itself. Users who have been here before never meet it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewUserSettings {
    /// Who is taken even where `allow_new_users` is off, and is held back by no budget: `subject@domain` as the rows name
    /// users, or a subject of any identity provider.
    pub allowed: Vec<String>,
    /// How many new users one client address may bring in an hour (of IPv6 a /64), and at once; 0 is no bound.
    pub per_address_per_hour: u32,
    /// How many new users of one identity provider are taken in a minute, and at once; 0 is no bound.
    pub per_idp_per_minute: u32,
    /// How many are taken in a minute in all, and at once; 0 is no bound.
    pub per_minute: u32,
}
