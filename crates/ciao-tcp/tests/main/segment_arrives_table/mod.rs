//! Does the code answer every segment in every state as the RFCs say? 11 states, 256 flag bytes, 7 places of
//! SEQ and 4 of ACK: 78,848 rows, each answered by the code and by the specification, and all equal.
//!
//! A second table has further situations (opened from the other side, nobody left to read, a full buffer) and
//! segments without data. `docs/segment-arrives.md` counts the answers; `CIAO_BLESS=1` writes it anew.

mod listener;
mod moves;
mod specification;
mod subjects;
mod summary;

use ciao_tcp::TcpState;
use ciao_wire::{SeqNum, TcpFlags};
use specification::{Answer, Arriving, Situation};
use std::collections::BTreeMap;
use std::path::Path;
use subjects::Subject;

/// Bytes of data that a segment carries in the first table.
const TEXT: u32 = 100;
/// How far a segment overlaps an edge of the window, or lies off it.
const OVERLAP: u32 = 50;
const GAP: u32 = 1000;
/// The urgent data end within the segment, but not in front of the left edge when it is overlapped.
const URGENT: u16 = 60;

/// Where SEQ is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// All of the segment but its FIN: with it, it repeats the last numbers that came.
    BeforeTheWindow,
    OverLeftEdge,
    AtLeftEdge,
    BehindAGap,
    OverRightEdge,
    AtRightEdge,
    BeyondTheWindow,
    /// Not in the first table: the number before RCV.NXT, where keep-alive probes and repeated SYNs are.
    OneBefore,
}

impl Place {
    const ALL: [Self; 7] = [
        Self::BeforeTheWindow,
        Self::OverLeftEdge,
        Self::AtLeftEdge,
        Self::BehindAGap,
        Self::OverRightEdge,
        Self::AtRightEdge,
        Self::BeyondTheWindow,
    ];

    fn seq(self, situation: &Situation) -> SeqNum {
        let (left, right) = (situation.rcv_nxt, situation.rcv_nxt + situation.rcv_wnd);
        match self {
            Self::BeforeTheWindow => left - (TEXT + 1),
            Self::OverLeftEdge => left - OVERLAP,
            Self::AtLeftEdge => left,
            Self::BehindAGap => left + GAP,
            Self::OverRightEdge => right - OVERLAP,
            Self::AtRightEdge => right,
            Self::BeyondTheWindow => right + GAP,
            Self::OneBefore => left - 1,
        }
    }
}

/// Where ACK is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Acknowledges {
    /// Older than the peer's largest window allows.
    TooOld,
    /// Nothing new, and just within it; before the handshake is complete, nothing at all.
    NothingNew,
    /// All that we have sent.
    All,
    /// What we have not sent.
    Unsent,
    /// Not in the first table: SND.UNA, as most repeated acknowledgments do.
    Una,
    /// Not in the first table: the number behind SND.UNA, which is part of what is in flight, if any is.
    Part,
}

impl Acknowledges {
    const ALL: [Self; 4] = [Self::TooOld, Self::NothingNew, Self::All, Self::Unsent];

    fn ack(self, situation: &Situation) -> SeqNum {
        let opening = matches!(situation.state, TcpState::SynSent | TcpState::SynReceived);
        let oldest = situation.snd_una - if opening { 0 } else { situation.max_snd_wnd };
        match self {
            Self::TooOld => oldest - 1,
            Self::NothingNew => oldest,
            Self::All => situation.snd_nxt,
            Self::Unsent => situation.snd_nxt + 1,
            Self::Una => situation.snd_una,
            Self::Part => situation.snd_una + 1,
        }
    }
}

/// One for each of the eleven states.
fn states() -> Vec<Subject> {
    let established = Subject::established();
    let fin_wait_1 = established.clone().close("FIN-WAIT-1", TcpState::FinWait1);
    let fin_wait_2 = fin_wait_1.clone().fin_wait_2("FIN-WAIT-2");
    let close_wait = established.clone().finished("CLOSE-WAIT", TcpState::CloseWait);
    let subjects = vec![
        Subject::closed(),
        Subject::listening(),
        Subject::syn_sent(),
        Subject::half_open(),
        established,
        fin_wait_1.clone(),
        fin_wait_2.clone(),
        close_wait.clone(),
        fin_wait_1.finished("CLOSING", TcpState::Closing),
        close_wait.close("LAST-ACK", TcpState::LastAck),
        fin_wait_2.finished("TIME-WAIT", TcpState::TimeWait),
    ];
    assert!(subjects.iter().map(|subject| subject.situation.state).eq(TcpState::ALL));
    subjects
}

/// Other ways to be in one of them.
fn variants() -> Vec<Subject> {
    let unread = Subject::fin_wait_1_unread();
    let quiet = Subject::quiet();
    let closing = quiet.clone().close("FIN-WAIT-1 without data in flight", TcpState::FinWait1);
    let last_ack = quiet.clone().finished("CLOSE-WAIT without data in flight", TcpState::CloseWait);
    vec![
        Subject::crossed(),
        Subject::full(),
        quiet,
        closing.clone(),
        closing.finished("CLOSING without data in flight", TcpState::Closing),
        last_ack.clone(),
        last_ack.close("LAST-ACK without data in flight", TcpState::LastAck),
        unread.clone(),
        unread.fin_wait_2("FIN-WAIT-2 without a reader"),
    ]
}

/// A row of a table: what arrives, and both answers.
struct Row {
    flags: TcpFlags,
    place: Place,
    acknowledges: Acknowledges,
    specified: Answer,
    observed: Answer,
}

/// Which segments arrive, with any flags.
#[derive(Clone, Copy)]
struct Segments {
    text: u32,
    places: &'static [Place],
    acknowledge: &'static [Acknowledges],
}

impl Segments {
    /// Those of the first table.
    const WITH_DATA: Self = Self { text: TEXT, places: &Place::ALL, acknowledge: &Acknowledges::ALL };
    const WITHOUT_DATA: Self = Self { text: 0, ..Self::WITH_DATA };
    const ONE_BEFORE: Self = Self { places: &[Place::OneBefore], ..Self::WITH_DATA };
    const PROBES: Self = Self { text: 0, ..Self::ONE_BEFORE };
    const OF_PARTS: Self = Self { acknowledge: &[Acknowledges::Una, Acknowledges::Part], ..Self::WITH_DATA };
}

/// All rows of a subject.
fn rows(subject: &Subject, segments: Segments) -> Vec<Row> {
    let Segments { text, places, acknowledge } = segments;
    let mut rows = Vec::with_capacity(256 * places.len() * acknowledge.len());
    for flags in (0..=u8::MAX).map(TcpFlags) {
        for &place in places {
            for &acknowledges in acknowledge {
                let (seq, ack) = (place.seq(&subject.situation), acknowledges.ack(&subject.situation));
                let arriving = Arriving { flags, seq, ack, up: URGENT, text };
                let specified = specification::answer(&subject.situation, &arriving);
                let observed = subject.observe(&arriving);
                rows.push(Row { flags, place, acknowledges, specified, observed });
            }
        }
    }
    rows
}

/// The rows of all subjects, each in a thread of its own.
fn table(subjects: &[Subject], segments: Segments) -> Vec<(&Subject, Vec<Row>)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            subjects.iter().map(|subject| (subject, scope.spawn(move || rows(subject, segments)))).collect();
        threads
            .into_iter()
            .map(|(subject, thread)| (subject, thread.join().expect("no row panics")))
            .collect()
    })
}

/// The rows whose answers differ, those with the same difference in one line.
fn differences(table: &[(&Subject, Vec<Row>)]) -> String {
    let mut lines = String::new();
    for (subject, rows) in table {
        let mut kinds: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.specified != row.observed) {
            let kind = format!("specified {:?}\n   observed  {:?}", row.specified, row.observed);
            kinds.entry(kind).or_default().push(row);
        }
        for (kind, rows) in kinds {
            let Row { flags, place, acknowledges, .. } = rows[0];
            let (name, count) = (subject.name, rows.len());
            lines += &format!("{name}: {count} rows as {flags} {place:?} {acknowledges:?}\n   {kind}\n");
        }
    }
    lines
}

#[test]
fn every_segment_in_every_state_is_answered_as_specified() {
    let subjects = states();
    let table = table(&subjects, Segments::WITH_DATA);
    assert_eq!(table.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 78_848);
    let differences = differences(&table);
    assert!(differences.is_empty(), "{differences}");
    compare_page(&summary::page(&table));
}

/// The page that counts the rows is up to date.
fn compare_page(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/segment-arrives.md");
    if std::env::var_os("CIAO_BLESS").is_some() {
        std::fs::write(&path, page).expect("docs can be written");
    }
    let tracked = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == tracked,
        "CIAO_BLESS=1 cargo nextest run -p ciao-tcp segment_arrives writes docs/segment-arrives.md anew"
    );
}

/// The states, and other ways to be in them.
fn situations() -> Vec<Subject> {
    states().into_iter().chain(variants()).collect()
}

fn compare(subjects: &[Subject], segments: Segments) {
    let differences = differences(&table(subjects, segments));
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn other_ways_into_a_state_answer_data_as_specified() {
    compare(&variants(), Segments::WITH_DATA);
}

#[test]
fn segments_without_data_are_answered_as_specified() {
    compare(&situations(), Segments::WITHOUT_DATA);
}

#[test]
fn what_begins_one_number_before_the_next_is_answered_as_specified() {
    compare(&situations(), Segments::ONE_BEFORE);
    compare(&situations(), Segments::PROBES);
}

#[test]
fn acknowledgments_of_a_part_are_answered_as_specified() {
    compare(&situations(), Segments::OF_PARTS);
}
