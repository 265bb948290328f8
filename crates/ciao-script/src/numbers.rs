//! From which numbers does a script count? [`Numbers`], for each conversation.

/// The number that the script's end counts from before it sends a SYN with another one: just before the end
/// of the number space, as ours is.
const REMOTE_BASE: u32 = u32::MAX - 1000;

/// The bases of one pair of ports.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Our initial sequence number, less what the script calls it.
    pub local: u32,
    /// That of the script's end.
    pub remote: u32,
    /// Our timestamp at the start of the script.
    pub timestamp: u32,
    /// Whether our next SYN may bring new numbers.
    pub local_is_open: bool,
    /// Where the script's end counts from once its SYN is answered.
    pub remote_offered: Option<u32>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { local: 0, remote: REMOTE_BASE, timestamp: 0, local_is_open: true, remote_offered: None }
    }
}

/// The numbers as one end sees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bases {
    /// Of the sender's sequence numbers.
    pub seq: u32,
    /// Of the numbers that it acknowledges.
    pub ack: u32,
    /// Of the sender's timestamps.
    pub timestamp_value: u32,
    /// Of the timestamps that it echoes.
    pub timestamp_echo: u32,
}

impl Numbers {
    /// For segments that we send.
    #[must_use]
    pub fn outbound(&self) -> Bases {
        Bases { seq: self.local, ack: self.remote, timestamp_value: self.timestamp, timestamp_echo: 0 }
    }

    /// For segments that arrive.
    #[must_use]
    pub fn inbound(&self) -> Bases {
        Bases { seq: self.remote, ack: self.local, timestamp_value: 0, timestamp_echo: self.timestamp }
    }
}
