//! Which server a command asks, and with which token. No flag takes the token's text: command lines are seen
//! by every user of a machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rndrkit_client::Client;

use super::{Exit, Failure};
use crate::cli::{ServerArgs, SettingFlags};
use crate::config::{self, DataFolder, Environment, Settings};

/// Where the token is looked for, in this order: `RNDRKIT_TOKEN`, `--token-file`, the settings' own
/// `operator_token`, the data folder. Settings are read only when something is left to find.
pub(super) fn connect(
    server: ServerArgs,
    config: Option<PathBuf>,
    environment: &Environment,
) -> Result<Client, Failure> {
    let token = match (environment.get("RNDRKIT_TOKEN"), &server.token_file) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => Some(read_token(path)?),
        (None, None) => None,
    };
    let (url, token) = match (server.url, token) {
        (Some(url), Some(token)) => (url, token),
        (url, token) => {
            let sources = super::sources(config, environment, SettingFlags::default());
            let settings = config::load(&sources)?.settings;
            let token = token.map_or_else(|| token_of(&settings), Ok)?;
            (url.unwrap_or_else(|| internal_url(settings.listeners.internal)), token)
        }
    };
    Ok(Client::new(&url, token.trim())?)
}

fn read_token(path: &Path) -> Result<String, Failure> {
    config::read_secret_file(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display())))
}

fn token_of(settings: &Settings) -> Result<String, Failure> {
    if let Some(token) = &settings.access.operator_token {
        return Ok(token.reveal().to_owned());
    }
    let folder = &settings.storage.data_dir;
    match DataFolder::read_operator_token(folder) {
        Ok(Some(token)) => Ok(token.secret.reveal().to_owned()),
        Ok(None) => Err(Failure::new(
            Exit::Usage,
            format!(
                "no token: set RNDRKIT_TOKEN, or give --token-file, or run this where the server's data folder \
                 is (there is no operator token in {})",
                folder.display()
            ),
        )),
        Err(error) => Err(Failure::new(Exit::Usage, error.to_string())),
    }
}

/// The address to reach a listener at from this machine: "every address" is no address to call.
fn internal_url(listener: SocketAddr) -> String {
    let host = match listener.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    format!("http://{}", SocketAddr::new(host, listener.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listener, url) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("0.0.0.0:8081", "http://127.0.0.1:8081"),
            ("[::]:8081", "http://[::1]:8081"),
            ("10.0.0.5:9", "http://10.0.0.5:9"),
        ] {
            assert_eq!(internal_url(listener.parse().unwrap()), url);
        }
    }
}
