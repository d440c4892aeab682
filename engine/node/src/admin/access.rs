//! Who may do what over the admin socket, by the kernel's word on who is at the other end.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The admin socket: `[admin]` of the configuration.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Serve the socket at all.
    pub enabled: bool,
    /// Path of the socket; absent: `admin.sock` in the data directory.
    pub socket: Option<PathBuf>,
    /// Users and groups that may only look, beside those that may operate.
    pub view_uids: Vec<u32>,
    pub view_gids: Vec<u32>,
    /// Users and groups that may also command, beside the owner of the process, who always may.
    pub operate_uids: Vec<u32>,
    pub operate_gids: Vec<u32>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            socket: None,
            view_uids: Vec::new(),
            view_gids: Vec::new(),
            operate_uids: Vec::new(),
            operate_gids: Vec::new(),
        }
    }
}

/// Longest path that a Unix socket's address holds, bytes.
pub const SOCKET_PATH_MAX: usize = 107;

impl AdminConfig {
    /// Where the socket is.
    pub fn socket_path(&self, data_directory: &Path) -> PathBuf {
        let default = || data_directory.join("admin.sock");
        self.socket.clone().unwrap_or_else(default)
    }

    /// Nobody but the owner may connect.
    pub fn is_private(&self) -> bool {
        self.view_uids.is_empty()
            && self.view_gids.is_empty()
            && self.operate_uids.is_empty()
            && self.operate_gids.is_empty()
    }

    /// What a peer may do; `None`: nothing. `owner` is the user the node runs as.
    pub fn role(&self, peer: &Peer, owner: u32) -> Option<Role> {
        let among = |gids: &[u32]| peer.gids.iter().any(|gid| gids.contains(gid));
        let operates =
            peer.uid == owner || self.operate_uids.contains(&peer.uid) || among(&self.operate_gids);
        if operates {
            return Some(Role::Operate);
        }
        let views = self.view_uids.contains(&peer.uid) || among(&self.view_gids);
        views.then_some(Role::View)
    }
}

/// What a peer may do. Who operates may also look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    View,
    Operate,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    pub pid: i32,
    pub uid: u32,
    /// Its group and its supplementary groups.
    pub gids: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gids: &[u32]) -> Peer {
        Peer {
            pid: 1,
            uid,
            gids: gids.to_vec(),
        }
    }

    #[test]
    fn the_owner_operates_and_nobody_else_unless_listed() {
        let nobody_listed = AdminConfig::default();
        assert_eq!(nobody_listed.role(&peer(7, &[7]), 7), Some(Role::Operate));
        assert_eq!(nobody_listed.role(&peer(8, &[7]), 7), None);
        assert_eq!(nobody_listed.role(&peer(0, &[0]), 7), None, "not even root");
        assert!(nobody_listed.is_private());
    }

    #[test]
    fn lists_give_roles_by_user_and_by_any_group() {
        let listed = AdminConfig {
            view_uids: vec![10],
            view_gids: vec![20],
            operate_uids: vec![11],
            operate_gids: vec![21],
            ..AdminConfig::default()
        };
        let role = |uid, gids: &[u32]| listed.role(&peer(uid, gids), 7);
        assert_eq!(role(10, &[1]), Some(Role::View));
        assert_eq!(role(12, &[1, 20]), Some(Role::View));
        assert_eq!(role(11, &[1]), Some(Role::Operate));
        assert_eq!(role(12, &[20, 21]), Some(Role::Operate), "the higher role");
        assert_eq!(role(12, &[1]), None);
        assert!(!listed.is_private());
        assert!(Role::Operate > Role::View);
    }

    #[test]
    fn the_socket_stands_in_the_data_directory_unless_told_otherwise() {
        let data = Path::new("/var/venue");
        let mut config = AdminConfig::default();
        assert_eq!(config.socket_path(data), data.join("admin.sock"));
        config.socket = Some("/run/venue.sock".into());
        assert_eq!(config.socket_path(data), Path::new("/run/venue.sock"));
    }
}
