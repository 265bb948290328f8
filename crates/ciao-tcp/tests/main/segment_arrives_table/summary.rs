//! How does a person read 78,848 rows? Rows of a state with the same answer are counted together, and what
//! they have in common is said: which flags all or none of them have, where SEQ and ACK are.

use super::specification::{Answer, Sent};
use super::subjects::Subject;
use super::{Acknowledges, Place, Row};
use ciao_tcp::TcpState;
use ciao_wire::TcpFlags;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
# The answer to every segment

For each of the 11 states, 256 flag bytes, 7 places of SEQ and 4 of ACK, what Ciao answers to a segment with 100 bytes of data
and without options: 78,848 rows. A test compares each with an executable specification that follows RFC 9293 §3.10.7, RFC
5961 and RFC 1337 (`crates/ciao-tcp/tests/main/segment_arrives_table/specification.rs`; what differs from the letter on purpose
is called an exception there), and writes this page: `CIAO_BLESS=1 cargo nextest run -p ciao-tcp segment_arrives`.

- SEQ: 1 before the window, 2 over its left edge, 3 at RCV.NXT, 4 inside behind a gap, 5 over the right edge, 6 at the right
  edge, 7 beyond. Before there is a window the places are just seven numbers.
- ACK: a too old (below SND.UNA − MAX.SND.WND), b nothing new, c all that was sent, d what was not sent. Before the handshake
  is complete b is ISS.
- Where nothing was closed 300 bytes are in flight, and from FIN-WAIT-1 on our FIN. The application has read all and goes on
  reading. Each row is the first segment of its kind, so no challenge ACK is held back.
- Where no state stands under *then* it stays.
";

/// The checks divide the flags so; a RST may have any other beside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Rst,
    Syn,
    SynAck,
    NoAck,
    Ack,
}

impl Kind {
    fn of(flags: TcpFlags) -> Self {
        match (flags.rst(), flags.syn(), flags.ack()) {
            (true, ..) => Self::Rst,
            (_, true, false) => Self::Syn,
            (_, true, true) => Self::SynAck,
            (_, _, false) => Self::NoAck,
            (_, _, true) => Self::Ack,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rst => "RST",
            Self::Syn => "SYN",
            Self::SynAck => "SYN-ACK",
            Self::NoAck => "no ACK",
            Self::Ack => "ACK",
        }
    }
}

/// What rows are counted by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    kind: Kind,
    sent: &'static str,
    state: TcpState,
    effects: Vec<String>,
}

impl Outcome {
    fn of(flags: TcpFlags, answer: &Answer) -> Self {
        let sent = match answer.sent {
            Sent::Nothing => "–",
            Sent::Ack { .. } => "ACK",
            Sent::ChallengeAck { .. } => "challenge ACK",
            Sent::SynAck { .. } => "SYN-ACK",
            Sent::Reset { ack: None, .. } => "RST",
            Sent::Reset { ack: Some(_), .. } => "RST-ACK",
            Sent::Unexpected => "unexpected",
        };
        let mut effects = Vec::new();
        if answer.delivered > 0 {
            effects.push(format!("{} bytes delivered", answer.delivered));
        }
        if answer.held > 0 {
            effects.push("held behind a gap".to_owned());
        }
        if answer.urgent.is_some() {
            effects.push("urgent mark".to_owned());
        }
        if answer.restarted {
            effects.push("the wait begins anew".to_owned());
        }
        effects.extend(answer.error.map(|error| format!("{error:?}").to_lowercase()));
        Self { kind: Kind::of(flags), sent, state: answer.state, effects }
    }
}

/// What the rows of an outcome have in common.
#[derive(Default)]
struct Group {
    rows: usize,
    ever: u8,
    always: Option<u8>,
    places: BTreeSet<Place>,
    acknowledges: BTreeSet<Acknowledges>,
}

impl Group {
    fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.ever |= row.flags.0;
        self.always = Some(self.always.unwrap_or(u8::MAX) & row.flags.0);
        self.places.insert(row.place);
        self.acknowledges.insert(row.acknowledges);
    }

    /// The flags that all rows have, and those that none has, beside what their kind says.
    fn flags(&self, kind: Kind) -> String {
        let others = !(TcpFlags::RST | TcpFlags::SYN | TcpFlags::ACK).0;
        let always = TcpFlags(self.always.unwrap_or_default() & others);
        let never = TcpFlags(!self.ever & others);
        let mut text = kind.name().to_owned();
        if always.0 != 0 {
            let _ = write!(text, " with {always}");
        }
        if never.0 != 0 {
            let _ = write!(text, " without {never}");
        }
        text
    }
}

/// The page.
pub(super) fn page(table: &[(&Subject, Vec<Row>)]) -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "\n## How many rows end in which answer\n\n";
    let columns = ["–", "ACK", "challenge ACK", "SYN-ACK", "RST", "RST-ACK"];
    let _ = writeln!(page, "| state | {} |\n|---|{}", columns.join(" | "), "--:|".repeat(columns.len()));
    let counted: Vec<_> = table.iter().map(|(subject, rows)| (subject.name, count(rows))).collect();
    for (name, groups) in &counted {
        let _ = write!(page, "| {name} |");
        for column in columns {
            let rows: usize = groups
                .iter()
                .filter(|(outcome, _)| outcome.sent == column)
                .map(|(_, group)| group.rows)
                .sum();
            let _ = write!(page, " {rows} |");
        }
        page.push('\n');
    }
    for (name, groups) in counted {
        let _ = writeln!(page, "\n## {name}\n\n| rows | flags | SEQ | ACK | sent | then | |");
        page += "|--:|---|---|---|---|---|---|\n";
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(outcome, group)| (outcome.kind, Reverse(group.rows), outcome.clone()));
        for (outcome, group) in groups {
            let places: String = group.places.iter().map(|place| char::from(b'1' + *place as u8)).collect();
            let acks: String = group.acknowledges.iter().map(|ack| char::from(b'a' + *ack as u8)).collect();
            let Outcome { kind, sent, state, effects } = outcome;
            let state = if state.name() == name { "" } else { state.name() };
            let (rows, flags, effects) = (group.rows, group.flags(kind), effects.join(", "));
            let _ = writeln!(page, "| {rows} | {flags} | {places} | {acks} | {sent} | {state} | {effects} |");
        }
    }
    page
}

fn count(rows: &[Row]) -> BTreeMap<Outcome, Group> {
    let mut groups: BTreeMap<Outcome, Group> = BTreeMap::new();
    for row in rows {
        groups.entry(Outcome::of(row.flags, &row.observed)).or_default().add(row);
    }
    groups
}
