//! What a launcher and a launched receiver say to each other: lines of JSON over the connection that
//! started the receiver, down its standard input and up its standard output.
//!
//! Nothing is sent down before the other end has said that it is `grappe`: a login shell that reads its
//! input must not see a key. Lines up carry a mark, as login scripts print what they like.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use grappe_proto::limits::PROTOCOL_VERSION;
use grappe_proto::units::SessionId;
use serde::{Deserialize, Serialize};

use crate::announce::{self, Heard};
use crate::network::Network;
use crate::trust::{Identity, PublicKey, TrustError, TrustFile};

/// What is said here; another number at the other end is told to the user.
pub const LAUNCH_VERSION: u32 = 2;

/// Bytes of the longest line in either direction.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// What marks a line up.
const MARK: &str = "grappe-launched ";

/// Down: from the launcher to the receiver.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// The first line: who to be, whom to trust, and where to put what arrives.
    Call(Call),
    /// A session to take part in.
    Session(Session),
    /// The launcher is there.
    Alive,
}

/// What a launched receiver must know. The key in it lives for one session, in memory only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Call {
    /// The receiver's private key, as the text of an OpenSSH key file.
    key: String,
    /// Whose sessions it takes part in, as the text of a trust file.
    trust: String,
    /// Its name in tables; its own choice when none is given.
    pub name: Option<String>,
    /// The directory that copies go into; a relative one is below where the receiver was started.
    pub into: String,
    /// The directory whose content it shares in a gather; relative as `into` is.
    pub share: Option<String>,
    /// The address of the node that launched it: the route there decides the interface.
    pub origin: IpAddr,
    /// Multicast group of announcements.
    pub group: IpAddr,
    /// UDP port of announcements and data.
    pub port: u16,
    /// Routers that its packets may pass, plus one.
    pub ttl: u8,
}

impl Call {
    /// A call for receivers that hold `key`, trust the lines of `trust`, and store below `into`.
    ///
    /// # Errors
    ///
    /// When the key has no text, which a generated one always has.
    pub fn new(
        key: &Identity,
        trust: String,
        into: String,
        network: &Network,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            key: key.to_openssh()?.clone(),
            trust,
            name: None,
            into,
            share: None,
            origin: network.interface.address,
            group: network.group,
            port: network.port,
            ttl: network.ttl,
        })
    }

    /// The key and whom to trust.
    ///
    /// # Errors
    ///
    /// When either is not what it should be.
    pub fn keys(&self) -> Result<(Identity, TrustFile), TrustError> {
        let trust = TrustFile::parse(&self.trust, std::path::Path::new("call"))?;
        Ok((Identity::from_openssh(&self.key)?, trust))
    }
}

/// Never prints the key.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("into", &self.into)
            .field("share", &self.share)
            .finish_non_exhaustive()
    }
}

/// A session as a line down: what an announcement would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whether it is a gather, and no single copy.
    is_gather: bool,
    id: [u8; 16],
    sender: [u8; 32],
    control: SocketAddr,
}

impl Session {
    /// The session `id` of the node that holds `sender` and listens at `control`.
    pub const fn new(
        call: announce::Call,
        id: SessionId,
        sender: PublicKey,
        control: SocketAddr,
    ) -> Self {
        Self {
            is_gather: matches!(call, announce::Call::Gather),
            id: id.0,
            sender: *sender.as_bytes(),
            control,
        }
    }

    /// The same as if it had been announced.
    pub const fn heard(&self) -> Heard {
        Heard {
            call: if self.is_gather {
                announce::Call::Gather
            } else {
                announce::Call::Copy
            },
            session: SessionId(self.id),
            sender: PublicKey::from_bytes(self.sender),
            control: self.control,
        }
    }
}

/// Up: from the receiver to the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Up {
    /// The first line: what is there.
    Hello(Hello),
    /// It listens.
    Listening,
    /// A sender has taken it in.
    Joining,
    /// An attempt that came to nothing; it goes on trying.
    Trouble {
        /// What, where and what to do.
        reason: String,
    },
    /// It ends: with everything in place, or with the reason why not.
    Ended {
        /// Why not.
        failure: Option<String>,
    },
}

/// What a launched program says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`LAUNCH_VERSION`] there.
    pub launch: u32,
    /// The version of the copy protocol there.
    pub protocol: u16,
    /// The program's version, for people.
    pub program: String,
    /// The node's own name, where whoever started it gave it one.
    pub name: Option<String>,
}

impl Hello {
    /// What this program says of itself.
    pub fn of_this_program(name: Option<String>) -> Self {
        Self {
            launch: LAUNCH_VERSION,
            protocol: PROTOCOL_VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            name,
        }
    }

    /// Why this program and the one that said it do not understand each other.
    pub(super) fn mismatch(&self) -> Option<String> {
        let fits = self.launch == LAUNCH_VERSION && self.protocol == PROTOCOL_VERSION;
        (!fits).then(|| {
            format!(
                "grappe {} there speaks protocol {}.{}, this one ({}) speaks {LAUNCH_VERSION}.\
                 {PROTOCOL_VERSION}: install the same version there, or name one with --remote-path",
                self.program,
                self.launch,
                self.protocol,
                env!("CARGO_PKG_VERSION")
            )
        })
    }
}

impl Down {
    /// As a line with its end.
    pub fn line(&self) -> String {
        json(self) + "\n"
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// When it is none of these; the message does not repeat it, since it may hold a key.
    pub fn read(line: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(line).map_err(|_| "a line that a launcher does not say")
    }
}

impl Up {
    /// As a line with its end.
    pub fn line(&self) -> String {
        format!("{MARK}{}\n", json(self))
    }

    /// Reads a line; `None` for what others print.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (_, said) = line.split_once(MARK)?;
        serde_json::from_str(said.trim_end()).ok()
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| unreachable!("strings and numbers are JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ANNOUNCE_GROUP, PORT, TTL};
    use grappe_os::udp::Interface;

    fn loopback() -> Network {
        Network {
            interface: Interface::named("lo").unwrap(),
            group: ANNOUNCE_GROUP.into(),
            port: PORT,
            ttl: TTL,
        }
    }

    #[test]
    fn what_is_said_is_heard_in_one_line() {
        let identity = Identity::generate("one session").unwrap();
        let trust = format!("send {}", identity.public());
        let mut call = Call::new(&identity, trust, "/a\nb".into(), &loopback()).unwrap();
        call.share = Some("/part".into());
        assert!(!format!("{call:?}").contains("PRIVATE"));
        let line = Down::Call(call).line();
        assert_eq!(line.lines().count(), 1);
        let Ok(Down::Call(call)) = Down::read(line.as_bytes()) else {
            panic!("not a call: {line}");
        };
        assert_eq!(call.into, "/a\nb");
        assert_eq!(call.share.as_deref(), Some("/part"));
        let (key, trust) = call.keys().unwrap();
        assert_eq!(key.public(), identity.public());
        assert!(
            trust
                .role_of(&key.public())
                .is_some_and(|role| role.may_send())
        );
        for call in [announce::Call::Copy, announce::Call::Gather] {
            let control = "127.0.0.1:9".parse().unwrap();
            let session = Session::new(call, SessionId([7; 16]), key.public(), control);
            let line = Down::Session(session).line();
            let Ok(Down::Session(read)) = Down::read(line.as_bytes()) else {
                panic!("not a session: {line}");
            };
            assert_eq!(read.heard(), session.heard());
            assert_eq!(read.heard().call, call);
        }
    }

    #[test]
    fn the_page_of_the_protocol_has_every_field_of_what_is_said() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
        let page = std::fs::read_to_string(page).unwrap();
        let version = format!("| `launch`: version of these lines, {LAUNCH_VERSION}; ");
        assert_eq!(page.matches(&version).count(), 1, "{version}");
        let identity = Identity::generate("one session").unwrap();
        let call = Call::new(&identity, String::new(), "/a".into(), &loopback()).unwrap();
        let control = "127.0.0.1:9".parse().unwrap();
        let id = SessionId([7; 16]);
        let session = Session::new(announce::Call::Copy, id, identity.public(), control);
        let reason = String::new();
        let said = [
            Down::Call(call).line(),
            Down::Session(session).line(),
            json(&Up::Hello(Hello::of_this_program(None))),
            json(&Up::Trouble { reason }),
            json(&Up::Ended { failure: None }),
        ];
        for line in said {
            let said: serde_json::Value = serde_json::from_str(&line).unwrap();
            let (name, fields) = said.as_object().unwrap().iter().next().unwrap();
            let row = page
                .lines()
                .find(|row| row.starts_with(&format!("| `{name}` |")));
            for field in fields.as_object().unwrap().keys() {
                assert!(
                    row.unwrap().contains(&format!("`{field}`")),
                    "{name}: {field}"
                );
            }
        }
    }

    #[test]
    fn what_login_scripts_print_is_passed_over() {
        let ended = Up::Ended { failure: None };
        assert_eq!(Up::read(&ended.line()), Some(ended.clone()));
        // A prompt without a line end.
        assert_eq!(
            Up::read(&format!("welcome to n1 {}", ended.line())),
            Some(ended)
        );
        for noise in [
            "",
            "Last login: never",
            MARK,
            "grappe-launched {}",
            "{\"joining\":null}",
        ] {
            assert_eq!(Up::read(noise), None);
        }
    }

    #[test]
    fn other_versions_are_told_apart() {
        let mut hello = Hello::of_this_program(None);
        assert_eq!(hello.mismatch(), None);
        hello.protocol += 1;
        assert!(hello.mismatch().unwrap().contains("--remote-path"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_a_reader_panic(line in "(grappe-launched )?[{}\"a-z0-9:\\[\\],]*") {
            let _ = Up::read(&line);
            let _ = Down::read(line.as_bytes());
        }
    }
}
