//! Hosts in virtual time, joined by links that lose, delay, reorder and double packets: by seed, or by rule.
//!
//! The same seed gives the same run, packet for packet.
//!
//! | question | file |
//! |---|---|
//! | Where does chance come from? | [`random`] |
//! | What happens next? | [`queue`] |
//! | What does a link do to a packet? | [`link`] |
//! | Which packet has which fate? | [`script`] |
//! | What does a router say of a packet that is too long? | `router` |
//! | Which packet arrives next, and where? | [`network`] |
//! | Which host acts next, and when? | [`simulation`] |
//! | What if there are two hosts and a link, as nearly always? | [`two_hosts`] |
//! | Does every packet keep the rules? | [`watcher`] |
#![forbid(unsafe_code)]

pub mod link;
pub mod network;
pub mod queue;
pub mod random;
mod router;
pub mod script;
pub mod simulation;
pub mod two_hosts;
pub mod watcher;

pub use link::{Harm, LinkConfig, LinkCounts, TooLong};
pub use network::{Delivery, Network, PortId};
pub use queue::EventQueue;
pub use random::Random;
pub use script::{Fate, PacketKind, Rule};
pub use simulation::{HostId, Simulation, Step};
pub use two_hosts::TwoHosts;
pub use watcher::Watcher;
