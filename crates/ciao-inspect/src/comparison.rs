//! What did some connections cost, and how do several ways to do the same compare?

use crate::history::{Connection, EventKind, Observed, Pair, Segment, Side};
use crate::http::{Carried, Kind};
use crate::page::{Line, Page, Tone};
use ciao_tcp::TcpState;
use ciao_wire::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What some connections cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// How many there were.
    pub connections: u64,
    /// Segments sent by both ends, lost ones included.
    pub segments: u64,
    /// Segments that were sent more than once, without the first time.
    pub retransmissions: u64,
    /// Bytes that both ends sent, IP headers included.
    pub wire_bytes: u64,
    /// Round trips until the last byte reached the client: half the longest chain of segments, in which each
    /// was sent after the one before had arrived at its sender. It counts waiting on the other side, whatever
    /// a round trip takes.
    pub round_trips: u32,
    /// From the first segment to the arrival of the last data byte at the end that opened; of HTTP, the last
    /// byte of a response.
    pub time_to_last_byte: Option<Duration>,
    /// How many connections each end left in TIME-WAIT; `None` for an end that was not observed.
    pub time_waits: Pair<Option<u64>>,
}

/// True when a segment carries what was asked for: data, and not only HTTP/2's own words.
fn answers(connection: &Connection, segment: &Segment) -> bool {
    let elements = &connection.http[segment.from];
    let is_control = |carried: &Carried| elements[carried.element].kind == Kind::Control;
    segment.payload_len > 0 && (segment.carries.is_empty() || !segment.carries.iter().all(is_control))
}

/// Adds up what `connections` cost.
#[must_use]
pub fn totals(connections: &[Connection]) -> Totals {
    let mut totals = Totals::default();
    let mut last_byte = None;
    for connection in connections {
        totals.connections += 1;
        for segment in &connection.segments {
            totals.segments += u64::from(segment.count);
            totals.retransmissions += u64::from(segment.is_repeat) * u64::from(segment.count);
            totals.wire_bytes += segment.wire_bytes;
            if segment.from == Side::Right && answers(connection, segment) {
                last_byte = last_byte.max(segment.arrivals.first().copied());
            }
        }
        for side in Side::BOTH {
            if connection.ends[side].observed != Observed::FromPeer {
                let waited = u64::from(connection.was_in(side, TcpState::TimeWait));
                *totals.time_waits[side].get_or_insert(0) += waited;
            }
        }
    }
    let start = connections.iter().map(Connection::start).min();
    if let (Some(start), Some(last_byte)) = (start, last_byte) {
        totals.time_to_last_byte = Some(last_byte.since(start));
        totals.round_trips = longest_chain(connections, last_byte).div_ceil(2);
    }
    totals
}

/// The longest chain of segments that ends with data for the client. Events are followed in the order of
/// time, those of all connections together: a host that waited for one connection before it began the next
/// has waited.
fn longest_chain(connections: &[Connection], until: Instant) -> u32 {
    let mut events: Vec<_> = connections
        .iter()
        .enumerate()
        .flat_map(|(index, connection)| connection.events.iter().map(move |event| (index, event)))
        .collect();
    events.sort_by_key(|(_, event)| event.at);
    let mut chains = Chains { connections, heard: BTreeMap::new(), sent: BTreeMap::new() };
    let mut longest = 0;
    for (index, event) in events.into_iter().take_while(|(_, event)| event.at <= until) {
        match event.kind {
            EventKind::Sent(segment) => chains.sent(index, segment),
            EventKind::Arrived(segment) => {
                let length = chains.arrived(index, segment);
                if connections[index].segments[segment].payload_len > 0 && event.side == Side::Left {
                    longest = longest.max(length);
                }
            }
            _ => {}
        }
    }
    longest
}

struct Chains<'a> {
    connections: &'a [Connection],
    /// The longest chain that has reached each host.
    heard: BTreeMap<IpAddr, u32>,
    /// The chain of each segment, by connection and index.
    sent: BTreeMap<(usize, usize), u32>,
}

impl Chains<'_> {
    fn sent(&mut self, connection: usize, segment: usize) {
        let sender = self.connections[connection].segments[segment].from;
        let host = self.connections[connection].ends[sender].address.ip();
        let length = self.heard.get(&host).map_or(1, |heard| heard + 1);
        self.sent.insert((connection, segment), length);
    }

    /// Answers how long the chain is that arrives with the segment.
    fn arrived(&mut self, connection: usize, segment: usize) -> u32 {
        let known = self.sent.get(&(connection, segment)).copied();
        let length = known.unwrap_or_else(|| self.answer(connection, segment));
        let told = &self.connections[connection];
        let receiver = told.ends[!told.segments[segment].from].address.ip();
        let heard = self.heard.entry(receiver).or_insert(0);
        *heard = (*heard).max(length);
        length
    }

    /// The chain of a segment whose sending was not observed: it answers the latest of what it acknowledges.
    fn answer(&self, connection: usize, segment: usize) -> u32 {
        let segments = &self.connections[connection].segments;
        let (from, ack) = (segments[segment].from, segments[segment].ack.unwrap_or(0));
        let answered = segments[..segment]
            .iter()
            .enumerate()
            .rfind(|(_, other)| other.from != from && other.end() > other.seq && other.end() <= ack);
        answered.and_then(|(index, _)| self.sent.get(&(connection, index))).map_or(1, |length| length + 1)
    }
}

/// One column for each way, with its name.
#[must_use]
pub fn table(columns: &[(&str, Totals)]) -> Page {
    let count = |number: Option<u64>| number.map_or("not seen".to_owned(), grouped);
    type Cell = Box<dyn Fn(&Totals) -> String>;
    let rows: [(&str, Cell); 8] = [
        ("connections", Box::new(move |totals| count(Some(totals.connections)))),
        ("segments", Box::new(move |totals| count(Some(totals.segments)))),
        ("  of them sent again", Box::new(move |totals| count(Some(totals.retransmissions)))),
        ("bytes on the wire", Box::new(move |totals| count(Some(totals.wire_bytes)))),
        ("round trips", Box::new(|totals| totals.round_trips.to_string())),
        ("time to the last byte", Box::new(|totals| totals.time_to_last_byte.map_or("–".to_owned(), millis))),
        ("TIME-WAIT left on the client", Box::new(move |totals| count(totals.time_waits[Side::Left]))),
        ("TIME-WAIT left on the server", Box::new(move |totals| count(totals.time_waits[Side::Right]))),
    ];
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(std::iter::once("").chain(columns.iter().map(|(name, _)| *name)));
    for (name, cell) in &rows {
        let cells = columns.iter().map(|(_, totals)| cell(totals));
        table.add_row(std::iter::once((*name).to_owned()).chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    Page(table.lines().map(|line| Line::of(Tone::Plain, line)).collect())
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{A, P, Story};

    fn fetched() -> Connection {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 20, P | A, (1, 1), b"ask");
        story.passes(Side::Right, 30, P | A, (1, 4), b"answer");
        story.passes(Side::Left, 40, A, (4, 7), b"");
        story.closes(60, (4, 7));
        story.connection()
    }

    #[test]
    fn an_opening_and_one_answer_are_two_round_trips() {
        let totals = totals(&[fetched()]);
        assert_eq!(totals.round_trips, 2);
        assert_eq!(totals.time_to_last_byte, Some(Duration::from_millis(40)));
        assert_eq!(totals.segments, 10);
        assert_eq!(totals.wire_bytes, 2 * 60 + 8 * 40 + 9);
        assert_eq!(totals.time_waits, Pair([Some(1), Some(0)]));
    }

    #[test]
    fn one_vantage_point_counts_the_same_round_trips() {
        let mut story = Story::default();
        story.opens();
        story.passes(Side::Left, 20, P | A, (1, 1), b"ask");
        // Two segments of one answer are no second round trip.
        story.passes(Side::Right, 30, A, (1, 4), b"answer");
        story.passes(Side::Right, 31, P | A, (7, 4), b"answer");
        story.passes(Side::Left, 40, A, (4, 7), b"");
        let [left, _] = story.records();
        let seen = crate::history::from_hosts(&[crate::Vantage { name: "client", records: &left }]);
        let totals = totals(&seen);
        assert_eq!(totals.round_trips, 2);
        assert_eq!(totals.time_waits, Pair([Some(0), None]));
    }

    #[test]
    fn the_table_has_a_column_for_each_way() {
        let one = totals(&[fetched()]);
        insta::assert_snapshot!(table(&[("HTTP/1.0", one), ("HTTP/2", totals(&[]))]).plain());
    }
}
