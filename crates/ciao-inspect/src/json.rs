//! What does `--json` say of a connection?
//!
//! These structures are a promise: fields are added, never renamed. Times are nanoseconds from the origin of
//! the records, sequence numbers are counted from each end's SYN, states have the names of RFC 9293.

use crate::history::{self, Event, EventKind, Fate, Observed, Segment, Side};
use crate::http::Part;
use serde::Serialize;

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// The end that opened.
    pub client: End,
    /// The end that was called.
    pub server: End,
    /// Which connection between these addresses and ports, counted from 1.
    pub incarnation: u32,
    /// All segments in the order of sending.
    pub segments: Vec<SegmentRecord>,
    /// What else happened at either end, in the order of time.
    pub events: Vec<EventRecord>,
}

/// One end.
#[derive(Clone, Debug, Serialize)]
pub struct End {
    /// The host's name.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// `traced`: its records were read; `packets`: its packets were seen; `from-peer`: neither.
    pub observed: &'static str,
    /// Its state after the last event.
    pub state: Option<&'static str>,
}

/// One segment.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentRecord {
    /// `client` or `server`.
    pub from: &'static str,
    /// When it was sent; absent when the sender was not observed.
    pub sent_ns: Option<u64>,
    /// When each copy arrived.
    pub arrived_ns: Vec<u64>,
    /// `arrived`, `lost`, `in-flight`, `unknown`, `arrived-in-later-connection`.
    pub fate: &'static str,
    /// `SYN`, `PSH-ACK` …
    pub flags: String,
    /// SEQ.
    pub seq: i64,
    /// ACK.
    pub ack: Option<i64>,
    /// Data bytes.
    pub len: u32,
    /// The offered window, scaled.
    pub window_bytes: u32,
    /// Bytes of IP packets.
    pub wire_bytes: u64,
    /// Segments of the wire that a super-segment stands for.
    pub count: u32,
    /// Maximum segment size, in a SYN.
    pub mss: Option<u16>,
    /// Window scale shift, in a SYN.
    pub window_scale: Option<u8>,
    /// SACK blocks: first number, and first number behind.
    pub sack: Vec<(i64, i64)>,
    /// What made the sender send it, where recorded.
    pub transmission: Option<String>,
    /// Some of it had been sent before.
    pub is_repeat: bool,
    /// Why the receiver dropped it.
    pub dropped: Option<String>,
    /// HTTP messages and frames in it.
    pub http: Vec<Message>,
}

/// A message, or a part of one.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// `GET /style.css`, `200 text/css, 1.2 kB`, `SETTINGS`.
    pub text: String,
    /// HTTP/2 stream.
    pub stream: Option<u32>,
    /// `whole`, `begins`, `continues`, `ends`.
    pub part: &'static str,
}

/// Something at one end.
#[derive(Clone, Debug, Serialize)]
pub struct EventRecord {
    /// When.
    pub at_ns: u64,
    /// `client` or `server`.
    pub end: &'static str,
    /// `moved`, `timer`, `called`, `dropped`, `rtt`, `congestion`, `recovery`, `waiting`, `ended`.
    pub kind: &'static str,
    /// In words: `SYN-SENT → ESTABLISHED (SYN-ACK received)`.
    pub text: String,
    /// The end's state after it.
    pub state: Option<&'static str>,
}

/// The structures of some connections, ready to be serialized.
#[must_use]
pub fn connections(connections: &[history::Connection]) -> Vec<Connection> {
    connections.iter().map(connection).collect()
}

fn connection(told: &history::Connection) -> Connection {
    Connection {
        client: end(told, Side::Left),
        server: end(told, Side::Right),
        incarnation: told.incarnation,
        segments: told.segments.iter().map(|segment| segment_record(told, segment)).collect(),
        events: told.events.iter().filter_map(event_record).collect(),
    }
}

fn end(told: &history::Connection, side: Side) -> End {
    let end = &told.ends[side];
    End {
        name: end.name.clone(),
        address: end.address.to_string(),
        observed: match end.observed {
            Observed::Traced => "traced",
            Observed::Packets => "packets",
            Observed::FromPeer => "from-peer",
        },
        state: told.last_states()[side].map(ciao_tcp::TcpState::name),
    }
}

const fn role(side: Side) -> &'static str {
    match side {
        Side::Left => "client",
        Side::Right => "server",
    }
}

fn segment_record(told: &history::Connection, segment: &Segment) -> SegmentRecord {
    let options = &segment.header.options;
    let ack = segment.ack.unwrap_or(0);
    let relative = |number: ciao_wire::SeqNum| ack + i64::from(number.offset_from(segment.header.ack));
    let elements = &told.http[segment.from];
    SegmentRecord {
        from: role(segment.from),
        sent_ns: segment.sent.map(ciao_wire::Instant::as_nanos),
        arrived_ns: segment.arrivals.iter().map(|at| at.as_nanos()).collect(),
        fate: match segment.fate {
            Fate::Arrived => "arrived",
            Fate::Lost => "lost",
            Fate::InFlight => "in-flight",
            Fate::Unknown => "unknown",
            Fate::ArrivedInLaterConnection => "arrived-in-later-connection",
        },
        flags: segment.header.flags.to_string(),
        seq: segment.seq,
        ack: segment.ack,
        len: segment.payload_len,
        window_bytes: segment.window_bytes,
        wire_bytes: segment.wire_bytes,
        count: segment.count,
        mss: options.mss,
        window_scale: options.window_scale,
        sack: options.sack.as_slice().iter().map(|b| (relative(b.start), relative(b.end))).collect(),
        transmission: segment.transmission.map(|transmission| transmission.to_string()),
        is_repeat: segment.is_repeat,
        dropped: segment.drop.map(|drop| format!("{drop} ({})", drop.rule())),
        http: segment
            .carries
            .iter()
            .map(|carried| Message {
                text: elements[carried.element].text.clone(),
                stream: elements[carried.element].stream,
                part: match carried.part {
                    Part::Whole => "whole",
                    Part::Begins => "begins",
                    Part::Continues => "continues",
                    Part::Ends => "ends",
                },
            })
            .collect(),
    }
}

/// Sending and arrival stand in the segments.
fn event_record(event: &Event) -> Option<EventRecord> {
    let (kind, text) = match &event.kind {
        EventKind::Sent(_) | EventKind::Arrived(_) => return None,
        EventKind::Moved { from, to, cause } => ("moved", format!("{from} → {to} ({cause})")),
        EventKind::Fired(timer) => ("timer", timer.to_string()),
        EventKind::TimeWaitSet(until) => ("timer", format!("2 MSL, until {until}")),
        EventKind::Called(call) => ("called", format!("{call:?}")),
        EventKind::Dropped { drop, .. } => ("dropped", format!("{drop} ({})", drop.rule())),
        EventKind::RttSampled { rtt, rto } => ("rtt", format!("{rtt:?}, RTO {rto:?}")),
        EventKind::Congestion { cwnd_bytes, ssthresh_bytes, flight_bytes } => {
            ("congestion", format!("cwnd {cwnd_bytes}, ssthresh {ssthresh_bytes}, flight {flight_bytes}"))
        }
        EventKind::Recovery(phase) => ("recovery", format!("{phase:?}").to_lowercase()),
        EventKind::LossFound(by) => ("lost", by.to_string()),
        EventKind::Undone(cause) => ("undone", cause.to_string()),
        EventKind::SegmentSize { mss, cause } => ("segment size", format!("MSS {mss}, {cause}")),
        EventKind::Waiting(wait) => ("waiting", wait.to_string()),
        EventKind::Ended(None) => ("ended", "closed by both sides".to_owned()),
        EventKind::Ended(Some(error)) => ("ended", error.to_string()),
    };
    let state = event.states[event.side].map(ciao_tcp::TcpState::name);
    Some(EventRecord { at_ns: event.at.as_nanos(), end: role(event.side), kind, text, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{A, P, Story};

    #[test]
    fn a_connection_as_json() {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 40, P | A, (1, 1), b"GET / HTTP/1.1\r\n\r\n");
        let json = serde_json::to_string_pretty(&connections(&story.connections())).unwrap();
        insta::assert_snapshot!(json);
    }
}
