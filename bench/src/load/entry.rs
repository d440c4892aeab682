//! Sessions on their way in: connected, logged in, told their next number.

use super::recorder::{Ready, Recorder};
use super::run::LoadError;
use crate::client::connection::Client;
use crate::client::request::encode_account_query;
use lockstep_net::AnyDriver;
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::time::Duration;

/// How long logins may take.
const LOGIN_NS_MAX: u64 = 20_000_000_000;
/// Sleep while nothing comes at most.
const PARK_MAX: Duration = Duration::from_millis(1);

/// Adds `logins` as the client's sessions, in their order, and waits until each knows its next number.
pub(super) fn enter(
    client: &mut Client<AnyDriver>,
    recorder: &mut Recorder,
    logins: &[Login],
    address: SocketAddr,
) -> Result<(), LoadError> {
    for login in logins {
        let session = client.add(*login);
        client.connect(session, address)?;
    }
    let clock = client.clock();
    let deadline_ns = clock.now_ns() + LOGIN_NS_MAX;
    let mut asked = vec![false; logins.len()];
    loop {
        client.flush();
        let work = client.poll(recorder);
        if let Some((session, why)) = recorder.ended() {
            let user = user_name(&logins[session]);
            return Err(LoadError::Ended { session, user, why });
        }
        let waiting = ask_numbers(client, recorder, &mut asked);
        if waiting == 0 {
            return Ok(());
        }
        if clock.now_ns() > deadline_ns {
            let sessions = logins.len();
            return Err(LoadError::Login { waiting, sessions });
        }
        if work == 0 {
            client.wait(PARK_MAX);
        }
    }
}

pub(super) fn user_name(login: &Login) -> String {
    String::from_utf8_lossy(login.user.as_bytes()).into_owned()
}

/// Asks each logged-in session's next number once; returns how many sessions are not ready.
fn ask_numbers(client: &mut Client<AnyDriver>, recorder: &Recorder, asked: &mut [bool]) -> usize {
    let mut query = [0; 8];
    let length = encode_account_query(&mut query);
    let now_ns = client.clock().now_ns();
    let mut waiting = 0;
    for (session, asked) in asked.iter_mut().enumerate() {
        if recorder.ready[session] == Ready::LoggedIn && !*asked {
            *asked = client.send(session, &query[..length], now_ns).is_ok();
        }
        waiting += usize::from(!matches!(recorder.ready[session], Ready::At(_)));
    }
    waiting
}
